from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.core.datasets import ctc, own
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.evaluation import derive_parents, read_result, read_truth
from sam2_plugins.core.export import Blank, CtcWriter, Subject
from sam2_plugins.core.masks import split_label_image
from tests.core.evaluation.scenes import DIVISION, scene


@pytest.fixture
def exported(tmp_path):
    """What `track --format ctc` leaves in its folder."""
    writer = CtcWriter(
        tmp_path / "out" / "ctc",
        Subject(Blank("cells", DIVISION.shape[1:], 5), parents={2: 1, 3: 1}),
    )
    for frame, image in enumerate(DIVISION):
        writer.write(frame, float(frame), split_label_image(image))
    writer.close()
    return tmp_path / "out"


def test_a_folder_of_track_is_read_with_its_divisions(exported):
    result = read_result(exported)
    assert result.parents == {2: 1, 3: 1}
    assert np.array_equal(np.stack(list(result.images)), DIVISION)
    assert result.remarks == ()


def test_a_corrected_result_may_be_a_truth_with_its_own_lineage(exported):
    table = exported / "ctc" / "res_track.txt"
    table.write_text("1 0 1 0\n2 2 4 0\n3 2 4 0\n9 0 4 0\n")
    truth = read_truth(exported)
    assert (truth.parents, truth.remarks) == ({}, ())


def test_labels_without_a_table_have_no_divisions_and_say_so(tmp_path):
    np.save(tmp_path / "labels.npy", DIVISION)
    result = read_result(tmp_path / "labels.npy")
    assert result.parents == {}
    assert "no res_track.txt" in result.remarks[0]


def test_a_table_that_does_not_fit_its_images_is_remarked_on(exported):
    table = exported / "ctc" / "res_track.txt"
    table.write_text(table.read_text().replace("9 0 4 0", "9 0 3 0"))
    (remark,) = read_result(exported).remarks
    assert "would refuse" in remark
    assert "label 9" in remark


def test_a_table_without_images_is_an_error(exported):
    for image in (exported / "ctc").glob("mask*.tif"):
        image.unlink()
    with pytest.raises(FrameSourceError, match="but no mask000"):
        read_result(exported)


def test_the_truth_of_the_challenge_is_taken_from_its_folder_or_its_dataset(tmp_path):
    ctc.write(tmp_path / "cells", "01", DIVISION, DIVISION, {2: 1, 3: 1})
    for path in (tmp_path / "cells", tmp_path / "cells" / "01_GT"):
        truth = read_truth(path)
        assert truth.parents == {2: 1, 3: 1}
        assert sorted(truth.outlines) == [0, 1, 2, 3, 4]
        assert truth.remarks == ()


def test_a_dataset_may_name_the_parents_itself(tmp_path):
    own.write(tmp_path / "cells", DIVISION, DIVISION, {"parents": {"2": 1, "3": 1}})
    truth = read_truth(tmp_path / "cells")
    assert (truth.parents, truth.remarks) == ({2: 1, 3: 1}, ())


def test_a_truth_without_lineage_gets_a_derived_one_and_says_so(tmp_path):
    own.write(tmp_path / "cells", DIVISION, DIVISION)
    truth = read_truth(tmp_path / "cells")
    assert truth.parents == {2: 1, 3: 1}
    assert "derived: 1 division" in truth.remarks[0]


def test_divisions_are_derived_though_the_stage_drifts():
    still, moved = {9: (30, 36)}, {9: (18, 24)}
    drifting = scene({1: (14, 24)} | still, {2: (2, 7), 3: (7, 12)} | moved)
    assert derive_parents(drifting) == {2: 1, 3: 1}


def test_one_object_after_another_or_one_that_comes_from_aside_is_no_division():
    replaced = scene({1: (10, 20)}, {2: (10, 20)})
    assert derive_parents(replaced) == {}
    aside = scene({1: (10, 20), 9: (30, 36)}, {2: (10, 20), 3: (0, 6), 9: (30, 36)})
    assert derive_parents(aside) == {}
    goes_on = scene({1: (10, 20)}, {1: (10, 14), 2: (14, 20)})
    assert derive_parents(goes_on) == {}
