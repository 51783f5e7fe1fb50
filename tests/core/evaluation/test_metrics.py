from __future__ import annotations

import importlib.util
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sam2_plugins.core.evaluation.metrics import boundary_f, evaluate
from sam2_plugins.core.masks import ObjectMask


@pytest.fixture(scope="module")
def reference(shared_data) -> ModuleType:
    """Score of the shared data: what every figure of the project is compared with."""
    spec = importlib.util.spec_from_file_location("evaluate", shared_data / "evaluate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def two_squares(frames: int = 3) -> np.ndarray:
    stack = np.zeros((frames, 60, 60), int)
    stack[:, 10:30, 10:30] = 1
    stack[:, 40:50, 40:50] = 2
    return stack


def test_the_truth_scores_1():
    scores = evaluate(two_squares(), two_squares())
    assert (scores.J, scores.F, scores.JF, scores.SEG, scores.kept_all) == (1, 1, 1, 1, 1)
    assert (scores.id_switch, scores.ghost, scores.n_objects) == (0, 0, 2)


def test_j_of_a_shifted_square_is_the_share_of_its_area():
    pred = two_squares()
    pred[1:, 10:30, 10:30] = 0
    pred[1:, 10:30, 15:35] = 1
    first, second = evaluate(pred, two_squares(), bound=2).objects
    assert first.J == first.J_last == first.SEG == 300 / 500
    assert second.J == second.F == 1
    assert 0 < first.F < 1


def test_an_object_never_predicted_scores_0():
    pred = two_squares()
    pred[1:] = 0
    scores = evaluate(pred, two_squares())
    assert (scores.J, scores.F, scores.SEG, scores.kept_end, scores.track_frac) == (0,) * 5


def test_swapped_ids_are_seen_by_j_and_id_switch_and_not_by_seg():
    pred = two_squares()
    pred[1:] = np.array([0, 2, 1])[pred[1:]]
    scores = evaluate(pred, two_squares())
    assert (scores.J, scores.id_switch, scores.SEG) == (0, 1, 1)


def test_a_track_is_followed_up_to_its_first_failure():
    pred = two_squares(5)
    pred[2][pred[2] == 1] = 0
    scores = evaluate(pred, two_squares(5), objects=[1])
    assert (scores.track_frac, scores.kept_all, scores.kept_end) == (0.25, 0, 1)
    assert scores.J == scores.J_recall == 0.75


def test_a_frame_without_the_object_counts_as_davis_or_not_at_all():
    truth = two_squares()
    truth[2][truth[2] == 2] = 0
    davis = evaluate(two_squares(), truth, absent="davis")
    assert (davis.objects[1].J, davis.objects[1].frames, davis.ghost) == (0.5, 2, 1)
    ignore = evaluate(two_squares(), truth, absent="ignore")
    assert (ignore.objects[1].J, ignore.objects[1].frames, ignore.ghost) == (1, 1, 1)


def test_frames_up_to_an_objects_own_prompt_do_not_count():
    pred = two_squares(4)
    pred[:3][pred[:3] == 2] = 0
    scores = evaluate(pred, two_squares(4), prompt_frame={1: 0, 2: 2})
    assert [score.J for score in scores.objects] == [1, 1]
    assert [score.frames for score in scores.objects] == [3, 1]


def test_an_object_not_seen_after_its_prompt_is_left_out():
    truth = two_squares()
    truth[1:][truth[1:] == 2] = 0
    assert [score.id for score in evaluate(truth, truth).objects] == [1]
    nothing = evaluate(truth, truth, objects=[2])
    assert nothing.n_objects == 0
    assert np.isnan(nothing.J)


def test_the_boundary_tolerance_decides_f():
    truth, pred = np.zeros((2, 50, 50), bool)
    truth[10:30, 10:30] = pred[10:30, 12:32] = True
    truth, pred = ObjectMask.from_array(truth), ObjectMask.from_array(pred)
    assert boundary_f(pred, truth, bound=2) == 1
    # Of 80 boundary pixels a side, the 2 × 18 of the top and bottom edges fall together, and at
    # each end one or two of the other's are in reach.
    assert 0.45 < boundary_f(pred, truth, bound=1) < 0.6
    assert boundary_f(pred, truth, bound=0) == boundary_f(truth, pred, bound=0) < 0.5


def test_f_of_masks_without_a_boundary():
    empty, full = ObjectMask.empty((5, 5)), ObjectMask.from_array(np.ones((5, 5)))
    dot = ObjectMask.from_box((2, 2, 3, 3), (5, 5))
    assert boundary_f(empty, empty) == boundary_f(full, empty) == 1
    assert boundary_f(empty, dot) == boundary_f(dot, full) == 0


def test_stacks_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="3 frames were predicted, but the truth has 4"):
        evaluate(two_squares(3), two_squares(4))
    with pytest.raises(ValueError, match="Frame 1 is"):
        evaluate(two_squares()[:, :50], two_squares())
    with pytest.raises(ValueError, match="Prompted frame 3"):
        evaluate(two_squares(), two_squares(), prompt_frame=3)
    with pytest.raises(ValueError, match="Object 2 is not among those with a prompt"):
        evaluate(two_squares(), two_squares(), objects=[2], prompt_frame={1: 0})


LABELS = arrays(np.int64, (4, 7, 9), elements=st.integers(0, 3))


@given(LABELS, LABELS, st.sampled_from([None, 0, 2]), st.sampled_from(["davis", "ignore"]))
def test_random_stacks_score_as_the_reference_does(reference, pred, gt, bound, absent):
    options = {"objects": [1, 2, 3], "bound": bound, "absent": absent}
    expected = reference.evaluate(pred, gt, per_object=True, **options)
    ours = evaluate(pred, gt, **options).to_dict(per_object=True)
    assert expected.pop("per_object") == ours.pop("per_object")
    np.testing.assert_equal(ours, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["ctc_fluo_sim_01", "ctc_dic_hela_01", "ecoli_phase_trpL", "davis17_dogs-jump"]
)
@pytest.mark.parametrize("rules", ["its own", "davis, each object from its first frame"])
def test_real_stacks_score_as_the_reference_does(reference, shared_data, name, rules):
    meta, gt, _ = reference.load_dataset(shared_data / name)
    gt = gt[:8]
    options = reference.settings(meta)
    if rules != "its own":
        starts = {int(obj): frame for obj, frame in meta["eval_objects_any_frame"].items()}
        options = {"prompt_frame": {obj: t for obj, t in starts.items() if t < 8}}
    perturbed = np.roll(gt, (3, 1), (2, 0))
    perturbed[5:] = np.where(perturbed[5:] == meta["eval_objects_frame0"][0], 999, perturbed[5:])
    for pred in (gt, np.repeat(gt[:1], len(gt), axis=0), perturbed):
        expected = reference.evaluate(pred, gt, per_object=True, **options)
        assert evaluate(pred, gt, **options).to_dict(per_object=True) == expected
