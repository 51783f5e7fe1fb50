from __future__ import annotations

import csv
import errno
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.datasets import Dataset, load_dataset, own, sav
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.evaluation import (
    Protocol,
    SequenceReport,
    draw,
    evaluate_sequence,
    next_click,
    write_csv,
)
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model
from tests.cli.conftest import moving_discs

SIZE = (40, 60)


def box(*corners: int) -> ObjectMask:
    return ObjectMask.from_box(corners, SIZE)


def test_the_first_click_is_in_the_middle_of_the_object():
    assert next_click(box(10, 4, 19, 13), None) == ((14, 8), 1)


def test_a_click_goes_to_what_is_missing_where_more_is_missing_than_too_much():
    truth, found = box(0, 0, 40, 20), box(0, 0, 19, 22)
    (x, y), label = next_click(truth, found)
    assert label == 1
    assert x >= 19
    assert abs(y - 9.5) <= 1


def test_a_click_says_no_where_a_mask_is_too_much():
    (x, _), label = next_click(box(0, 0, 20, 20), box(0, 0, 49, 20))
    assert (label, x >= 20) == (0, True)


def test_a_right_mask_needs_no_click():
    assert next_click(box(0, 0, 9, 9), box(0, 0, 9, 9)) is None
    assert next_click(ObjectMask.empty(SIZE), None) is None


@pytest.fixture(scope="module")
def nano() -> Sam2Model:
    return cached_model("nano", "cpu", 128)


@pytest.fixture
def hidden_discs(tmp_path) -> Dataset:
    """Two discs; the second is painted over from frame 3 on, so that it is lost without help."""
    images, labels = moving_discs(7)
    images[3:][labels[3:] == 2] = 20
    own.write(tmp_path / "discs", images, labels, {"kind": "microscopy"})
    return load_dataset(tmp_path / "discs")


def run(model: Sam2Model, dataset: Dataset, **protocol: object) -> SequenceReport:
    return evaluate_sequence(model, dataset, Protocol(**protocol))


def test_semi_prompts_the_first_frame_and_no_other(nano, hidden_discs):
    report = run(nano, hidden_discs, name="semi", clicks=2)
    assert [one.prompted_frames for one in report.objects] == [1, 1]
    assert all(one.clicks <= 2 for one in report.objects)
    assert len(report.rounds) == 1


def test_offline_corrects_a_frame_more_in_every_round_and_gets_better(nano, hidden_discs):
    report = run(nano, hidden_discs, name="offline", frames=3)
    assert [r.prompted_frames for r in report.rounds] == [1, 2, 3]
    assert report.rounds[-1].scores.JF > report.rounds[0].scores.JF
    assert report.scores == report.rounds[-1].scores


def test_online_prompts_only_frames_that_are_bad(nano, hidden_discs):
    report = run(nano, hidden_discs, name="online", prompt="mask", frames=4)
    seen, hidden = report.objects
    assert seen.prompted_frames < hidden.prompted_frames <= 4
    assert hidden.clicks == hidden.prompted_frames
    assert hidden.J > 0.75


def test_online_never_prompts_if_nothing_is_bad_enough(nano, hidden_discs):
    report = run(nano, hidden_discs, name="online", threshold=0.0)
    assert [one.prompted_frames for one in report.objects] == [1, 1]


def test_with_a_box_the_clicks_that_follow_are_corrections(nano, hidden_discs):
    report = run(nano, hidden_discs, name="semi", prompt="box", clicks=3)
    assert {one.clicks for one in report.objects} <= {1, 2, 3}
    assert report.prompt == "box"


def test_clicks_to_reach_are_those_of_the_first_round_that_did(nano, hidden_discs):
    report = run(nano, hidden_discs, name="offline", prompt="mask", frames=8)
    for one in report.objects:
        by_round = [
            (r.clicks, next(s.J for s in r.scores.objects if s.id == one.id)) for r in report.rounds
        ]
        if one.clicks_to_reach is None:
            assert all(j < 0.75 for _, j in by_round)
        else:
            assert one.clicks_to_reach <= one.clicks
    # Every frame was given: nothing can be wrong any more.
    assert report.scores.J == 1


def test_objects_that_overlap_are_prompted_and_scored_each_for_itself(nano, tmp_path):
    images, labels = moving_discs(5)
    colour = np.repeat(images[..., None], 3, axis=-1)
    masks = []
    for t in (0, 4):
        disc = ObjectMask.from_array(labels[t] == 1)
        half = (disc.box[1] + disc.box[3]) // 2
        upper = ObjectMask.from_array((labels[t] == 1) & (np.arange(96)[:, None] < half))
        masks.append({1: disc, 2: upper})
    sav.write_video(tmp_path / "v.mp4", colour, masks)
    report = run(nano, load_dataset(tmp_path), name="online", prompt="mask", threshold=1.0)
    assert [one.id for one in report.objects] == [1, 2]
    assert report.scores.J == 1  # both were given on every frame that counts


def test_an_evaluation_is_left_as_a_table_and_a_picture(nano, hidden_discs, tmp_path):
    report = run(nano, hidden_discs, name="offline", frames=2)
    write_csv(tmp_path / "scores.csv", [report])
    rows = list(csv.DictReader((tmp_path / "scores.csv").open()))
    assert [row["object"] for row in rows] == ["1", "2"]
    assert float(rows[0]["J"]) == pytest.approx(report.objects[0].J, abs=1e-4)
    draw(tmp_path / "curve.png", [report, report])
    with Image.open(tmp_path / "curve.png") as image:
        assert image.width > 600


def test_a_picture_that_cannot_be_written_leaves_the_earlier_one(tmp_path, monkeypatch):
    def full(figure, path, **how):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    (tmp_path / "curve.png").write_bytes(b"earlier")
    with pytest.raises(ExportError, match=r"curve\.png cannot be written: No space left"):
        draw(tmp_path / "curve.png", [])
    assert (tmp_path / "curve.png").read_bytes() == b"earlier"
    assert len(list(tmp_path.iterdir())) == 1
