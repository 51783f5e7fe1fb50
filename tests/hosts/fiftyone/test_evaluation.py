"""`evaluate_masklets` in the real FiftyOne, against FiftyOne's own IoU."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from fiftyone.operators.executor import ExecutionError

from sam2_plugins.fiftyone_plugin import evaluate, propagate
from sam2_plugins.fiftyone_plugin.annotations import annotated_movies
from sam2_plugins.fiftyone_plugin.footage import FootageError
from tests.hosts.fiftyone.conftest import FRAMES, Execute, label, put


@pytest.fixture
def judged(movie: Any) -> Any:
    """A movie with the truth on all frames, and masks that follow from that of the first."""
    for number in range(1, FRAMES + 1):
        put(movie, number, "truth", label(1, number), label(2, number))
    propagate(movie, "truth", prompt_frames=[1])
    return movie


def test_scores_are_fiftyones_own(judged: Any) -> None:
    report = evaluate(judged, "sam2", "truth")
    ours = np.array(
        [
            value
            for number, frame in judged.first().frames.items()
            for value in [one.sam2_eval_iou for one in frame.sam2.detections]
        ]
    )
    judged.evaluate_detections(
        "frames.sam2", gt_field="frames.truth", use_masks=True, iou=1e-6, eval_key="theirs"
    )
    theirs = np.array(
        [
            value
            for frame in judged.values("frames.sam2.detections.theirs_iou")[0]
            for value in frame
        ]
    )
    assert len(ours) == 2 * FRAMES
    assert ours == pytest.approx(theirs, abs=1e-9)
    (scores,) = report.movies
    after_the_prompt = ours[2:].mean()
    assert after_the_prompt == pytest.approx(scores.J)


def test_movies_can_be_sorted_by_their_scores(judged: Any, execute: Execute) -> None:
    execute("evaluate_masklets", judged, gt_field="truth", eval_key="check")
    (J,) = judged.values("check_J")
    assert 0.75 < J <= 1
    assert len(judged.sort_by("check_J")) == 1
    worst = judged.match_frames(fo.ViewField("check_iou") < 1)
    assert len(worst) == 1


def test_a_missed_object_counts_as_nothing(judged: Any) -> None:
    shown = judged.first().frames[5].sam2.detections[:1]
    judged.set_values(
        "frames.sam2",
        {judged.first().id: {5: fo.Detections(detections=shown)}},
        key_field="id",
    )
    evaluate(judged, "sam2", "truth")
    judged.reload()
    mean = judged.values("frames.sam2_eval_iou")[0][4]
    (found,) = judged.values("frames.sam2.detections.sam2_eval_iou")[0][4]
    assert mean == pytest.approx(found / 2)


def test_frames_after_the_end_of_an_object_count_or_are_left_out(
    judged: Any, execute: Execute
) -> None:
    for number in range(13, FRAMES + 1):
        put(judged, number, "truth", label(1, number))
    counted = evaluate(judged, "sam2", "truth").movies[0].tracks
    left_out = evaluate(judged, "sam2", "truth", absent="ignore").movies[0].tracks
    assert [track.frames for track in left_out] == [FRAMES - 1, 11]
    wanted = [left_out[0].J, left_out[1].J * 11 / 23]
    assert [track.J for track in counted] == pytest.approx(wanted)
    execute("evaluate_masklets", judged, gt_field="truth", eval_key="op", ignore_absent=True)
    (J,) = judged.values("op_J")
    assert pytest.approx(np.mean([track.J for track in left_out])) == J


def test_objects_of_other_numbers_are_found_by_their_overlap(movie: Any) -> None:
    for number in (1, 2, 3):
        put(movie, number, "truth", label(1, number), label(2, number))
        put(movie, number, "sam2", label(1, number, index=2), label(2, number, index=1))
    tracks = evaluate(movie, "sam2", "truth").movies[0].tracks
    assert [(track.key, track.J) for track in tracks] == [(1, 1.0), (2, 1.0)]


@pytest.mark.parametrize(
    ("direction", "after", "before"), [("forward", 16, 0), ("backward", 0, 7), ("both", 16, 7)]
)
def test_the_sides_of_a_prompt_to_which_it_was_tracked_are_judged(
    movie: Any, direction: str, after: int, before: int
) -> None:
    for number in range(1, FRAMES + 1):
        put(movie, number, "truth", label(1, number))
    propagate(movie, "truth", prompt_frames=[8], direction=direction)
    report = evaluate(movie, "sam2", "truth")
    (track,) = report.movies[0].tracks
    assert (track.frames - track.before, track.before) == (after, before)
    assert track.J > 0.75
    assert f"judged on {after} frames after and {before} before their prompts" in str(report)


def test_a_field_that_is_not_there_is_told_of(judged: Any, execute: Execute) -> None:
    with pytest.raises(ExecutionError, match="no field 'nope'"):
        execute("evaluate_masklets", judged, gt_field="nope")


def test_objects_of_two_classes_that_share_an_index_are_two(movie: Any) -> None:
    for number in (1, 2, 3):
        cell, nucleus = (label(n, number, label=c, index=1) for n, c in ((1, "cell"), (2, "dot")))
        put(movie, number, "truth", cell, nucleus)
    propagate(movie, "truth", prompt_frames=[1], last=3)
    tracks = evaluate(movie, "sam2", "truth").movies[0].tracks
    assert [track.key for track in tracks] == ["cell 1", "dot 1"]
    assert min(track.J for track in tracks) > 0.75
    (learned,) = annotated_movies(movie, "sam2")
    assert {len(masks) for masks in learned.masks.values()} == {2}


def of_first_disc(movie: Any) -> Any:
    index = fo.ViewField("index")
    view = movie.filter_labels("frames.truth", index == 1)
    return view.filter_labels("frames.sam2", index == 1, only_matches=False)


def test_only_labels_that_a_view_shows_are_judged_and_learned_from(judged: Any) -> None:
    view = of_first_disc(judged)
    (track,) = evaluate(view, "sam2", "truth").movies[0].tracks
    assert (track.key, track.frames) == (1, FRAMES - 1)
    judged.reload()
    scored = judged.values("frames.sam2.detections.sam2_eval_J")[0]
    assert scored == [[track.J, None]] * FRAMES
    (learned,) = annotated_movies(view, "truth")
    assert {tuple(masks) for masks in learned.masks.values()} == {(1,)}


@pytest.mark.parametrize("kind", ["matched", "frames"])
def test_frames_that_a_view_leaves_out_do_not_count(judged: Any, kind: str) -> None:
    shown = [1, 5, 20]
    is_shown = fo.ViewField("frame_number").is_in(shown)
    if kind == "frames":
        judged.compute_metadata()
        view = judged.to_frames(sample_frames=True).match(is_shown)
    else:
        view = judged.match_frames(is_shown)
    (one, two) = evaluate(view, "sam2", "truth").movies[0].tracks
    judged.reload()
    ious = judged.values("frames.sam2.detections.sam2_eval_iou")[0]
    assert one.frames == two.frames == 2
    assert kind == "matched" or view.values("sam2_eval_iou")[1] == np.mean(ious[4])
    assert pytest.approx(np.mean([ious[n - 1][0] for n in shown[1:]])) == one.J


def test_a_field_that_a_view_hides_is_told_of(judged: Any) -> None:
    for field in ("sam2", "truth"):
        with pytest.raises(FootageError, match=f"no field '{field}', or the view hides it"):
            evaluate(judged.exclude_fields(f"frames.{field}"), "sam2", "truth")


def test_another_truth_leaves_no_scores_of_the_first(judged: Any) -> None:
    evaluate(judged, "sam2", "truth")
    put(judged, 3, "other", label(1, 3))
    evaluate(judged, "sam2", "other")
    judged.reload()
    scored = judged.values("frames.sam2_eval_iou")[0]
    assert [n for n, value in enumerate(scored, start=1) if value is not None] == [3]


@pytest.mark.parametrize(("absent", "unlabelled"), [("davis", 0.0), ("ignore", None)])
def test_frames_that_nobody_has_labelled_are_told_of_or_left_out(
    judged: Any, absent: Any, unlabelled: float | None
) -> None:
    for number in (1, 4):
        put(judged, number, "other", label(1, number))
    report = evaluate(judged, "sam2", "other", absent=absent)
    told = [line for line in report.problems if "2 of the frames that were judged" in line]
    assert len(told) == (absent == "davis")
    judged.reload()
    ious = judged.values("frames.sam2.detections.sam2_eval_iou")[0]
    assert ious[1][0] == unlabelled
    assert ious[3][0] > 0.75


def test_a_clip_is_judged_on_its_frames_and_a_video_by_all_of_its_clips(movie: Any) -> None:
    for number in range(1, FRAMES + 1):
        put(movie, number, "truth", label(1, number))
    propagate(movie, "truth", prompt_frames=[8], direction="both")
    clips = movie.to_clips([[(5, 9), (15, 18)]])
    first, second = evaluate(clips, "sam2", "truth").movies
    assert [first.tracks[0].frames, second.tracks[0].frames] == [4, 4]
    movie.reload()
    assert movie.values("sam2_eval_J") == [pytest.approx((first.J + second.J) / 2)]


def test_labels_that_no_index_joins_are_not_judged(judged: Any) -> None:
    for number in (1, 2, 3):
        put(judged, number, "nameless", label(1, number, index=None))
    (problem,) = evaluate(judged, "sam2", "nameless").problems
    assert "neither an index nor an instance, on 3 frames" in problem


def test_labels_that_no_index_joins_leave_the_others_their_scores(judged: Any) -> None:
    (before,) = evaluate(judged, "sam2", "truth").movies
    for number in (2, 3):
        put(judged, number, "truth", label(1, number), label(2, number), label(2, 20, index=None))
    report = evaluate(judged, "sam2", "truth")
    assert [one.J for one in report.movies[0].tracks] == [one.J for one in before.tracks]
    assert any("neither an index nor an instance, on 2 frames" in one for one in report.problems)


def test_a_movie_of_which_no_frame_can_be_judged_is_named(movie: Any) -> None:
    put(movie, 1, "truth", label(1, 1))
    propagate(movie, "truth", last=2)
    (problem,) = evaluate(movie, "sam2", "truth").problems
    assert "No frame can be judged" in problem
    assert not movie.has_field("sam2_eval_J")
