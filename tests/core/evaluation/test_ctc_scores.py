from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from sam2_plugins.core.datasets import ctc
from sam2_plugins.core.errors import FrameSourceError, Sam2PluginsError
from sam2_plugins.core.evaluation import ctc_scores, read_truth
from sam2_plugins.core.export import Blank, CtcWriter, Subject
from sam2_plugins.core.masks import split_label_image
from tests.core.evaluation.scenes import DIVISION, scene

PARENTS = {2: 1, 3: 1}


def export(folder, labels, parents=None):
    """Write labels as a results folder."""
    writer = CtcWriter(
        folder, Subject(Blank("cells", labels.shape[1:], len(labels)), parents=parents or {})
    )
    for frame, image in enumerate(labels):
        writer.write(frame, float(frame), split_label_image(image))
    writer.close()
    return folder


def truth_folder(folder, labels, parents=None):
    """Write labels as a truth of the challenge, and return 01_GT."""
    ctc.write(folder, "01", labels, labels, parents)
    return folder / "01_GT"


def noisy_division() -> np.ndarray:
    """The division with a gap, a merger, a false object and worse outlines."""
    labels = DIVISION.copy()
    labels[1][labels[1] == 9] = 0
    labels[3][labels[3] == 2] = 3
    labels[2:, 1:4, 24:28] = 5
    labels[:, 1:3][labels[:, 1:3] == 9] = 0
    return labels


def test_the_truth_scores_1_whatever_its_ids():
    renamed = np.where(DIVISION > 0, DIVISION + 20, 0)
    scores = ctc_scores(renamed, DIVISION, {22: 21, 23: 21})
    assert (scores.DET, scores.SEG, scores.TRA, scores.division_f1) == (1, 1, 1, 1)
    assert (scores.divisions, scores.true_divisions) == (1, 1)
    assert (scores.objects, scores.true_objects) == (4, 4)


def test_the_scores_are_those_of_the_librarys_own_command(tmp_path):
    from ctc_metrics.scripts.evaluate import evaluate_sequence

    result = export(tmp_path / "result", noisy_division(), PARENTS)
    truth = truth_folder(tmp_path / "data", DIVISION, PARENTS)
    theirs = evaluate_sequence(str(result), str(truth), ["DET", "SEG", "TRA", "BC(1)"], threads=1)
    ours = ctc_scores(result, truth)
    assert pytest.approx(theirs["DET"]) == ours.DET
    assert pytest.approx(theirs["SEG"]) == ours.SEG
    assert pytest.approx(theirs["TRA"]) == ours.TRA
    assert ours.division_f1 == pytest.approx(theirs["BC(1)"])
    assert 0 < ours.TRA < ours.DET < 1


def test_frames_in_memory_score_as_the_folder_that_is_exported_from_them(tmp_path):
    labels = noisy_division()
    folder = ctc_scores(export(tmp_path / "result", labels, PARENTS), DIVISION)
    images = ctc_scores(labels, DIVISION, PARENTS)
    masks = ctc_scores([split_label_image(image) for image in labels], DIVISION, PARENTS)
    assert images == masks == folder


def test_nothing_scores_0_and_nothing_to_find_is_no_number():
    nothing = np.zeros_like(DIVISION)
    empty = ctc_scores(nothing, DIVISION)
    assert (empty.DET, empty.SEG, empty.TRA, empty.division_f1) == (0, 0, 0, 0)
    void = ctc_scores(DIVISION, nothing)
    assert all(math.isnan(value) for value in (void.DET, void.SEG, void.TRA, void.division_f1))
    assert void.acts["delete"] == 4


def test_a_single_image_is_scored_without_links():
    one = scene({1: (2, 12), 2: (20, 30)})
    assert ctc_scores(one, one).TRA == 1
    half = ctc_scores(scene({1: (2, 12)}), one)
    assert half.DET == half.TRA == 0.5


def test_seg_is_of_the_outlines_where_the_truth_has_markers(tmp_path):
    truth = truth_folder(tmp_path / "data", DIVISION, PARENTS)
    for path in sorted((truth / "SEG").iterdir())[1:]:
        path.unlink()
    worse = DIVISION.copy()
    worse[0, 1:3] = 0  # two rows of six
    worse[1:, 1:4] = 0  # half, which is not more than half
    scores = ctc_scores(worse, truth)
    found = (scores.SEG, scores.DET)
    assert found == pytest.approx((4 / 6, 1 - (11 * 10 + 11) / 130))
    assert len(read_truth(truth).outlines) == 1


def test_movies_of_different_lengths_or_sizes_are_refused():
    with pytest.raises(FrameSourceError, match="4 frames, but the truth the truth has 5"):
        ctc_scores(DIVISION[:4], DIVISION)
    with pytest.raises(FrameSourceError, match="height, width"):
        ctc_scores(DIVISION[:, :5], DIVISION)


def test_without_the_library_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ctc_metrics", None)
    with pytest.raises(Sam2PluginsError, match=r"sam2-plugins\[ctc\]"):
        ctc_scores(DIVISION, DIVISION)
