"""Labels that say nothing, or nonsense: the others are tracked, and each bad one is named."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from sam2_plugins.fiftyone_plugin import evaluate, propagate
from tests.hosts.fiftyone.conftest import FRAMES, label, masks, put

LAST = 3
BOX = [0.1, 0.1, 0.2, 0.2]
BAD = {
    "not a number": fo.Detection(bounding_box=[float("nan"), 0.1, 0.2, 0.2]),
    "infinite": fo.Detection(bounding_box=[0.1, 0.1, float("inf"), 0.2]),
    "outside": fo.Detection(bounding_box=[1.5, 0.1, 0.2, 0.2]),
    "empty box": fo.Detection(bounding_box=[0.1, 0.1, 0.0, 0.2]),
    "no box": fo.Detection(),
    "empty mask": fo.Detection(bounding_box=BOX, mask=np.zeros((8, 9), bool)),
    "mask without a pixel": fo.Detection(bounding_box=BOX, mask=np.zeros((0, 0), bool)),
    "three dimensions": fo.Detection(bounding_box=BOX, mask=np.ones((8, 9, 3), bool)),
    "missing file": fo.Detection(bounding_box=BOX, mask_path="/nowhere/mask.png"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_label_is_named_and_the_others_are_tracked(movie: Any, kind: str) -> None:
    bad = BAD[kind].copy()
    bad.label, bad.index = "dog", 7
    put(movie, 1, "seed", label(1, 1), bad)
    report = propagate(movie, "seed", last=LAST)
    assert report.count("done") == 1
    (problem,) = report.problems
    assert "frame 1, dog 7 in 'seed': " in problem
    assert not {"Error", "unexpected"} & {*problem.split()}
    assert [sorted(found) for found in masks(movie).values()] == [[1]] * LAST


def test_a_label_beyond_the_end_is_named(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    put(movie, FRAMES + 5, "seed", label(2, 1))
    (problem,) = propagate(movie, "seed", last=LAST).problems
    assert f"frame {FRAMES + 5}, disc 2 in 'seed': the movie ends with frame {FRAMES}." in problem


def test_a_movie_of_bad_labels_only_says_so(movie: Any) -> None:
    put(movie, 1, "seed", BAD["outside"].copy())
    report = propagate(movie, "seed", last=LAST)
    assert report.count("no prompts") == 1
    assert any("outside the frame" in line for line in report.problems)


def test_a_bad_label_among_the_results_is_named_too(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    put(movie, 2, "sam2", BAD["empty mask"].copy())
    (problem,) = propagate(movie, "seed", last=LAST).problems
    assert "frame 2, object: its mask is empty" in problem
    assert movie.count("frames.sam2.detections") == LAST + 1


def test_a_mask_whose_file_is_gone_is_made_again_and_told_of(movie: Any, tmp_path: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagate(movie, "seed", last=LAST, masks_folder=tmp_path)
    lost = movie.first().frames[2].sam2.detections[0]
    (tmp_path / movie.first().id / lost.mask_path.rsplit("/", 1)[1]).unlink()
    put(movie, 1, "other", label(2, 1))  # a change, so that the movie is looked at
    (report,) = propagate(movie, "seed", last=LAST, masks_folder=tmp_path).movies
    assert report.computed == 1
    (told,) = report.problems
    assert told.startswith(f"Masks of earlier runs were not there (1, such as {lost.mask_path})")
    assert len(masks(movie)) == LAST


def test_a_bad_label_does_not_keep_the_others_from_being_judged(movie: Any) -> None:
    for number in range(1, LAST + 1):
        put(movie, number, "truth", label(1, number))
    put(movie, 2, "truth", label(1, 2), BAD["infinite"].copy())
    put(movie, 1, "seed", label(1, 1))
    propagate(movie, "seed", last=LAST)
    report = evaluate(movie, "sam2", "truth")
    assert report.movies[0].J > 0.75
    assert "frame 2, object in 'truth'" in report.problems[0]


def test_frames_that_leave_nothing_to_do_are_told_of(movie: Any) -> None:
    put(movie, 8, "seed", label(1, 8))
    (failed,) = propagate(movie, "seed", last=5).movies
    assert (
        "No frame from 1 to 5 is reached forward from its prompts, which are on 8" in failed.error
    )
    (failed,) = propagate(movie, "seed", first=99).movies
    assert f"ends with frame {FRAMES}" in failed.error


def test_boxes_of_one_object_that_lie_apart_are_named(movie: Any) -> None:
    one = fo.Instance()
    put(movie, 1, "seed", *(label(n, 1, "box", index=None, instance=one) for n in (1, 2)))
    put(movie, 1, "copy", label(2, 1, "box", index=None, instance=one))
    (problem,) = propagate(movie, ["seed", "copy"], last=2).problems
    assert "frame 1, disc 1: its boxes lie apart, and only the last is used" in problem
    put(movie, 1, "seed", label(2, 1, "box", index=None, instance=one))
    assert not propagate(movie, ["seed", "copy"], last=2).problems
