from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from sam2_plugins.core.errors import FrameSourceError, ModelError, PromptError, TrackingError
from sam2_plugins.core.masks import Masklet, ObjectId, ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.prompt_files import save_prompts
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.tracker import VideoTracker
from tests.core.conftest import squares

Results = dict[tuple[int, ObjectId], ObjectMask]

FIRST = {"box": (10, 20, 26, 36)}
SECOND = {"box": (60, 10, 76, 26)}


def tracker_of(model: Sam2Model, movie: object, **options: object) -> VideoTracker:
    # A model that knows nothing leaves it to the refiner, which keeps what was shown.
    return VideoTracker(model, movie, **{"window": None, "refiner": None, **options})  # type: ignore[arg-type]


@pytest.fixture
def tracker(small_model: Sam2Model, movie: np.ndarray) -> VideoTracker:
    return tracker_of(small_model, movie)


def run(tracker: VideoTracker, *args: object) -> Results:
    found: Results = {}
    for result in tracker.propagate(*args):  # type: ignore[arg-type]
        for obj, mask in result.masks.items():
            found[result.frame, obj] = mask
    return found


def camera_of(movie: np.ndarray) -> Iterator[np.ndarray]:
    yield from movie


def mean_iou(a: Results, b: Results, obj: ObjectId) -> float:
    keys = [k for k in a if k[1] == obj and k in b]
    assert keys
    return float(np.mean([a[k].iou_with(b[k]) for k in keys]))


def test_a_prompt_is_answered_at_once_on_its_frame(tracker: VideoTracker) -> None:
    mask = tracker.add_prompt(3, "cell", points=[(24, 28)])
    assert mask.frame_size == (96, 96)
    assert tracker.mask(3, "cell") == mask
    assert tracker.frames_encoded == 1


def test_every_frame_after_the_prompt_is_yielded_in_order(tracker: VideoTracker) -> None:
    tracker.add_prompt(2, 1, **FIRST)
    results = list(tracker.propagate())
    assert [r.frame for r in results] == list(range(2, 12))
    assert all(set(r.masks) == {1} for r in results)
    assert [r.time for r in results] == sorted(r.time for r in results)


def test_the_image_encoder_runs_once_per_frame_whatever_the_number_of_objects(
    tracker: VideoTracker,
) -> None:
    for obj in range(5):
        tracker.add_prompt(0, obj, points=[(15 + 10 * obj, 28)])
    run(tracker)
    assert tracker.frames_encoded == 12


def test_an_object_added_late_does_not_move_the_others(
    small_model: Sam2Model, movie: np.ndarray
) -> None:
    alone = tracker_of(small_model, movie)
    alone.add_prompt(0, "first", **FIRST)
    wanted = run(alone)
    tracker = tracker_of(small_model, movie)
    tracker.add_prompt(0, "first", **FIRST)
    run(tracker)
    tracker.add_prompt(6, "second", **SECOND)
    found = run(tracker)
    assert all(found[key] == wanted[key] for key in wanted)
    assert {f for f, obj in found if obj == "second"} == set(range(6, 12))


def test_objects_in_one_batch_come_out_as_each_alone(
    small_model: Sam2Model, movie: np.ndarray
) -> None:
    together = tracker_of(small_model, movie)
    together.add_prompt(0, 1, **FIRST)
    together.add_prompt(0, 2, **SECOND)
    found = run(together)
    for obj, prompt in ((1, FIRST), (2, SECOND)):
        alone = tracker_of(small_model, movie)
        alone.add_prompt(0, obj, **prompt)
        assert mean_iou(found, run(alone), obj) > 0.98


def test_going_on_after_closing_gives_what_an_unbroken_run_gives(
    small_model: Sam2Model, movie: np.ndarray
) -> None:
    unbroken = tracker_of(small_model, movie)
    unbroken.add_prompt(0, 1, **FIRST)
    wanted = run(unbroken)
    tracker = tracker_of(small_model, movie)
    tracker.add_prompt(0, 1, **FIRST)
    running = tracker.propagate()
    first = list(islice(running, 5))
    running.close()
    encoded = tracker.frames_encoded
    found = run(tracker)
    assert found == wanted
    assert all(found[r.frame, 1] == r.masks[1] for r in first)
    assert tracker.frames_encoded - encoded == 7


def test_masks_of_an_earlier_run_are_not_computed_again(
    small_model: Sam2Model, movie: np.ndarray
) -> None:
    earlier = tracker_of(small_model, movie)
    earlier.add_prompt(0, 1, **FIRST)
    wanted = run(earlier, "forward", None, 6)
    tracker = tracker_of(small_model, movie)
    tracker.add_prompt(0, 1, **FIRST)
    tracker.restore(earlier.masklets().values())
    encoded = tracker.frames_encoded
    assert run(tracker, "forward", None, 6) == wanted
    assert tracker.frames_encoded == encoded
    assert {f for f, _ in run(tracker)} == set(range(12))


def test_masks_of_another_movie_or_object_are_refused(tracker: VideoTracker) -> None:
    tracker.add_prompt(0, 1, **FIRST)
    small = Masklet(1, masks={1: ObjectMask.empty((50, 50))})
    with pytest.raises(PromptError, match="50"):
        tracker.restore([small])
    with pytest.raises(PromptError, match="stranger"):
        tracker.restore([Masklet("stranger")])
    late = ObjectMask.empty(tracker.frame_size)
    with pytest.raises(PromptError, match="ends with frame 11"):
        tracker.restore([Masklet(1, masks={1: late, 12: late})])
    with pytest.raises(PromptError, match="50×50 pixels and does not fit"):
        tracker.take(1, {1: ObjectMask.empty((50, 50))})
    assert tracker.mask(1, 1) is None
    tracker.restore([Masklet(1, masks={np.int64(1): late})])  # type: ignore[dict-item]
    assert tracker.mask(1, 1) == late


def test_the_picture_that_the_model_sees_cannot_be_drawn_on(tracker: VideoTracker) -> None:
    mask = tracker.add_prompt(0, 1, **FIRST)
    picture = tracker.frame(0).image
    with pytest.raises(ValueError, match="read-only"):
        mask.paste_into(picture, (255, 0, 0))
    mask.paste_into(picture.copy(), (255, 0, 0))


@pytest.mark.parametrize("window", [0, -5, 3.5, True, "small"])
def test_a_window_that_is_none_is_named(
    small_model: Sam2Model, movie: np.ndarray, window: object
) -> None:
    with pytest.raises(TrackingError, match="a number of pixels, not"):
        tracker_of(small_model, movie, window=window)


def test_a_model_is_loaded_first(movie: np.ndarray) -> None:
    with pytest.raises(ModelError, match=r"load_model\(\"nano\"\)"):
        VideoTracker("nano", movie)  # type: ignore[arg-type]


@pytest.mark.parametrize("start", ["3", 1.5])
def test_a_range_is_of_whole_numbers(tracker: VideoTracker, start: object) -> None:
    tracker.add_prompt(0, 1, **FIRST)
    with pytest.raises(TrackingError, match="are whole numbers, not"):
        run(tracker, "forward", start)


def test_torch_state_does_not_leak_to_the_consumer(tracker: VideoTracker) -> None:
    tracker.add_prompt(0, 1, **FIRST)
    for _ in islice(tracker.propagate(), 2):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()


def test_another_click_on_a_prompted_frame_counts_after_tracking(tracker: VideoTracker) -> None:
    tracker.add_prompt(0, 1, points=[(18, 28)])
    before = run(tracker)
    preview = tracker.add_prompt(0, 1, points=[(66, 16)], labels=[1])
    after = run(tracker)
    assert after[0, 1] == preview
    assert any(after[f, 1] != before[f, 1] for f in range(1, 12))


def test_a_click_on_a_tracked_frame_is_answered_from_memory_rebuilt_around_it(
    small_model: Sam2Model,
) -> None:
    long = squares(40, step=1)
    tracker = tracker_of(small_model, long, cache_megabytes=0)
    tracker.add_prompt(0, 1, **FIRST)
    run(tracker)
    encoded = tracker.frames_encoded
    click = {"points": [(28, 28)]}
    answer = tracker.add_prompt(10, 1, **click)
    # The frame itself and the three before it, whose memories were let go.
    assert tracker.frames_encoded - encoded == 4
    assert answer != tracker_of(small_model, long).add_prompt(10, 1, **click)


def test_a_mask_given_on_a_tracked_frame_is_kept_to_the_pixel_and_counts_from_there(
    tracker: VideoTracker,
) -> None:
    tracker.add_prompt(0, 1, **FIRST)
    before = run(tracker)
    painted = np.zeros((96, 96), bool)
    painted[50:71, 13:40] = True
    tracker.add_prompt(6, 1, mask=painted)
    after = run(tracker)
    assert np.array_equal(after[6, 1].to_array(), painted)
    assert any(after[f, 1] != before[f, 1] for f in range(7, 12))


def test_a_mask_replaces_the_prompts_before_it(small_model: Sam2Model, movie: np.ndarray) -> None:
    painted = np.zeros((96, 96), bool)
    painted[20:36, 10:26] = True
    wanted = tracker_of(small_model, movie)
    wanted.add_prompt(0, 1, mask=painted)
    tracker = tracker_of(small_model, movie)
    tracker.add_prompt(0, 1, points=[(70, 70)])
    tracker.add_prompt(0, 1, mask=painted)
    assert run(tracker) == run(wanted)


def test_a_correction_leaves_frames_with_a_nearer_prompt_alone(tracker: VideoTracker) -> None:
    tracker.add_prompt(0, 1, **FIRST)
    tracker.add_prompt(4, 1, box=(18, 20, 34, 36))
    before = run(tracker)
    encoded = tracker.frames_encoded
    tracker.add_prompt(8, 1, box=(26, 20, 42, 36))
    after = run(tracker)
    assert all(after[f, 1] == before[f, 1] for f in range(4))
    assert tracker.frames_encoded - encoded <= 8


def test_removing_an_object_leaves_the_others_as_they_were(tracker: VideoTracker) -> None:
    tracker.add_prompt(0, 1, **FIRST)
    tracker.add_prompt(0, 2, **SECOND)
    before = run(tracker)
    tracker.remove_object(2)
    after = run(tracker)
    assert tracker.objects == (1,)
    assert after == {k: m for k, m in before.items() if k[1] == 1}


def test_taking_back_the_last_click_restores_the_mask_before_it(tracker: VideoTracker) -> None:
    first = tracker.add_prompt(0, 1, points=[(18, 28)])
    tracker.add_prompt(0, 1, points=[(60, 60)])
    taken = tracker.undo_prompt()
    assert taken is not None and taken.points is not None and taken.points.xy == ((60, 60),)
    assert tracker.mask(0, 1) == first
    tracker.undo_prompt()
    assert tracker.objects == ()
    assert tracker.undo_prompt() is None


def test_undo_takes_back_the_last_prompt_of_whatever_object(tracker: VideoTracker) -> None:
    tracker.add_prompt(0, "A", points=[(18, 28)])
    tracker.add_prompt(2, "B", **SECOND)
    tracker.add_prompt(0, "A", points=[(20, 28)])
    tracker.undo_prompt()
    tracker.undo_prompt()
    assert [p.obj for p in tracker.prompts] == ["A"]


def test_undo_and_redo_bring_every_mask_back_exactly(tracker: VideoTracker) -> None:
    tracker.add_prompt(0, 1, **FIRST)
    tracker.add_prompt(6, 1, points=[(30, 28)])
    run(tracker)
    states = [tracker.masklets()]
    tracker.add_prompt(3, 1, points=[(60, 60)], labels=[0])
    states.append(tracker.masklets())
    run(tracker)
    tracked = tracker.masklets()
    tracker.remove_prompt(6, 1)
    states.append(tracker.masklets())

    tracker.undo_prompt()
    assert tracker.masklets() == tracked
    tracker.undo_prompt()
    assert tracker.masklets() == states[0]
    assert [r.computed for r in tracker.propagate()] == [frozenset()] * 12
    tracker.redo_prompt()
    assert tracker.masklets() == tracked
    tracker.redo_prompt()
    assert tracker.masklets() == states[2]
    assert tracker.redo_prompt() is None


def test_an_object_that_was_removed_comes_back_at_its_place(tracker: VideoTracker) -> None:
    tracker.add_prompt(0, 1, **FIRST)
    tracker.add_prompt(0, 2, **SECOND)
    before = run(tracker)
    tracker.remove_object(1)
    tracker.undo_prompt()
    assert tracker.objects == (1, 2)
    assert run(tracker) == before


def test_a_prompt_that_fails_leaves_everything_as_it_was(
    small_model: Sam2Model, movie: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = tracker_of(small_model, movie)
    tracker.add_prompt(0, 1, **FIRST)
    before = run(tracker)
    with monkeypatch.context() as broken:
        broken.setattr(tracker._features, "get", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tracker.add_prompt(4, 1, points=[(60, 60)])
    assert [p.frame for p in tracker.prompts] == [0]
    assert run(tracker) == before


@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_an_object_is_never_tracked_before_its_birth_or_after_its_end(
    small_model: Sam2Model, movie: np.ndarray, direction: str
) -> None:
    tracker = tracker_of(small_model, movie)
    tracker.add_prompt(0, "mother", **FIRST)
    tracker.add_prompt(6, "daughter", **SECOND)
    run(tracker, "both")
    tracker.set_life("mother", last=5)
    tracker.set_life("daughter", first=6)

    found = run(tracker, direction)

    assert all((frame <= 5) == (obj == "mother") for frame, obj in found)
    assert tracker.mask(7, "mother") is None and tracker.mask(5, "daughter") is None
    assert tracker.lives == {"mother": (None, 5), "daughter": (6, None)}


def test_a_prompt_outside_of_a_life_extends_it_and_a_life_without_a_prompt_is_refused(
    tracker: VideoTracker,
) -> None:
    tracker.add_prompt(6, 1, **FIRST)
    tracker.set_life(1, 6, 9)
    tracker.add_prompt(4, 1, **FIRST)
    assert tracker.lives == {1: (4, 9)}
    with pytest.raises(PromptError, match="prompt on frame 4"):
        tracker.set_life(1, 5, 9)
    with pytest.raises(PromptError, match="before"):
        tracker.set_life(1, 9, 5)


@pytest.mark.parametrize("no_frame", [5.5, -3, True, "4"])
def test_a_life_begins_and_ends_on_a_frame(tracker: VideoTracker, no_frame: object) -> None:
    tracker.add_prompt(6, 1, **FIRST)
    with pytest.raises(PromptError, match="Object 1 lives from one frame"):
        tracker.set_life(1, no_frame)
    assert tracker.lives == {}


def test_lives_are_saved_with_the_prompts(
    small_model: Sam2Model, movie: np.ndarray, tmp_path: Path
) -> None:
    tracker = tracker_of(small_model, movie)
    tracker.add_prompt(6, "daughter", **FIRST)
    tracker.set_life("daughter", first=np.int64(6))
    tracker.save_prompts(tmp_path / "prompts.json")
    again = tracker_of(small_model, movie)
    again.load_prompts(tmp_path / "prompts.json")
    assert again.lives == {"daughter": (6, None)}


def test_lives_of_objects_without_a_prompt_are_no_error(
    tracker: VideoTracker, tmp_path: Path
) -> None:
    lives = {1: (0, 9), "found": (2, None)}  # as napari saves them, of what it found by itself
    save_prompts(tmp_path / "prompts.json", [Prompt.of(0, 1, **FIRST)], lives=lives)
    tracker.load_prompts(tmp_path / "prompts.json")
    assert (tracker.objects, tracker.lives) == ((1,), {1: (0, 9)})


def test_a_result_names_the_objects_that_were_computed(tracker: VideoTracker) -> None:
    tracker.add_prompt(0, 1, **FIRST)
    first = [r.computed for r in tracker.propagate(stop=2)]
    tracker.add_prompt(1, 2, **SECOND)
    assert first == [frozenset(), {1}, {1}]
    assert [r.computed for r in tracker.propagate(stop=2)] == [frozenset(), frozenset(), {2}]


def test_removing_a_correction_brings_the_first_run_back(tracker: VideoTracker) -> None:
    tracker.add_prompt(0, 1, **FIRST)
    before = run(tracker)
    tracker.add_prompt(5, 1, box=(60, 20, 76, 36))
    run(tracker)
    tracker.remove_prompt(5, 1)
    assert run(tracker) == before


def test_both_directions_reach_every_frame_from_a_prompt_in_the_middle(
    tracker: VideoTracker,
) -> None:
    tracker.add_prompt(5, 1, box=(20, 20, 36, 36))
    frames = [r.frame for r in tracker.propagate("both")]
    assert frames == [*range(5, 12), *range(4, -1, -1)]


def test_backward_on_a_reversed_movie_is_forward(small_model: Sam2Model, movie: np.ndarray) -> None:
    forward = tracker_of(small_model, movie)
    forward.add_prompt(0, 1, **FIRST)
    wanted = run(forward)
    backward = tracker_of(small_model, movie[::-1].copy())
    backward.add_prompt(11, 1, **FIRST)
    found = run(backward, "backward")
    assert all(found[11 - f, 1] == wanted[f, 1] for f in range(12))


def test_starting_late_rebuilds_the_memory_from_recorded_masks(
    small_model: Sam2Model, movie: np.ndarray
) -> None:
    long = squares(40, step=1)
    tracker = tracker_of(small_model, long)
    tracker.add_prompt(0, 1, **FIRST)
    run(tracker)
    painted = tracker.mask(9, 1)
    assert painted is not None
    tracker.add_prompt(9, 1, mask=painted)
    encoded = tracker.frames_encoded
    found = run(tracker, "forward", 12, 14)
    assert sorted(found) == [(12, 1), (13, 1), (14, 1)]
    # Frames 10 and 11 are out of date since the correction, so only the three are encoded.
    assert tracker.frames_encoded - encoded <= 4


def test_a_prompt_behind_the_end_of_a_stream_is_named(
    small_model: Sam2Model, movie: np.ndarray
) -> None:
    tracker = tracker_of(small_model, camera_of(movie))
    with pytest.raises(PromptError, match=r"Object 1, frame 40: .* ended after 12 frames"):
        tracker.add_prompt(40, 1, **FIRST)
    assert tracker.objects == ()


def test_a_stream_that_fails_has_not_ended(small_model: Sam2Model, movie: np.ndarray) -> None:
    tracker = tracker_of(small_model, (movie[index] for index in range(20)))
    tracker.add_prompt(0, 1, **FIRST)
    with pytest.raises(FrameSourceError, match="failed on frame 12: index 12 is out of bounds"):
        run(tracker)
    assert len(tracker.masklets()[1]) == 12


def test_a_stream_needs_no_cache_to_remember_its_prompts(
    small_model: Sam2Model, movie: np.ndarray
) -> None:
    tracker = tracker_of(small_model, camera_of(movie), window=48, cache_megabytes=0)
    tracker.add_prompt(0, 1, **FIRST)
    tracker.add_prompt(0, 2, box=(70, 70, 90, 90))
    assert {f for f, _ in run(tracker)} == set(range(12))


def test_a_stream_goes_on_after_closing_and_takes_new_objects_on_the_way(
    small_model: Sam2Model, movie: np.ndarray
) -> None:
    wanted = tracker_of(small_model, movie)
    wanted.add_prompt(0, 1, **FIRST)
    tracker = tracker_of(small_model, camera_of(movie))
    tracker.add_prompt(0, 1, **FIRST)
    running = tracker.propagate()
    list(islice(running, 5))
    running.close()
    tracker.add_prompt(4, 2, **SECOND)
    found = run(tracker)
    assert {k: m for k, m in found.items() if k[1] == 1} == run(wanted)
    assert {f for f, obj in found if obj == 2} == set(range(4, 12))


def test_a_correction_on_a_stream_counts_from_there_and_keeps_what_has_passed(
    small_model: Sam2Model, movie: np.ndarray
) -> None:
    tracker = tracker_of(small_model, camera_of(movie))
    tracker.add_prompt(0, 1, **FIRST)
    running = tracker.propagate()
    before = {(r.frame, 1): r.masks[1] for r in islice(running, 5)}
    running.close()
    preview = tracker.add_prompt(4, 1, box=(40, 40, 70, 70))
    found = run(tracker)
    assert found[4, 1] == preview
    assert all(found[f, 1] == before[f, 1] for f in range(4))
    assert {f for f, _ in found} == set(range(12))


def test_the_bank_and_the_cache_do_not_grow_with_the_movie(small_model: Sam2Model) -> None:
    tracker = tracker_of(small_model, squares(60, step=1), cache_megabytes=0.1)
    tracker.add_prompt(0, 1, **FIRST)
    run(tracker)
    tracked = tracker._objects[1]
    assert len(tracked.bank.tracked) == 16
    assert len(tracker._features._store._kept) <= 4


def test_prompts_replayed_from_a_file_give_the_same_masks(
    small_model: Sam2Model, movie: np.ndarray, tmp_path: Path
) -> None:
    tracker = tracker_of(small_model, movie)
    tracker.add_prompt(0, "a", points=[(18, 28)])
    tracker.add_prompt(0, "a", points=[(60, 60)], labels=[0])
    tracker.add_prompt(3, 2, **SECOND)
    tracker.save_prompts(tmp_path / "prompts.json")
    again = tracker_of(small_model, movie)
    again.load_prompts(tmp_path / "prompts.json")
    assert again.prompts == tracker.prompts
    assert run(again) == run(tracker)


def test_prompts_of_another_movie_are_refused_unless_forced(
    small_model: Sam2Model, movie: np.ndarray, tmp_path: Path
) -> None:
    tracker = tracker_of(small_model, movie)
    tracker.add_prompt(0, "a", points=[(18, 28)])
    tracker.save_prompts(tmp_path / "prompts.json")
    shorter = tracker_of(small_model, movie[:-1])
    with pytest.raises(PromptError, match=r"another movie .* frames"):
        shorter.load_prompts(tmp_path / "prompts.json")
    assert shorter.prompts == ()
    shorter.load_prompts(tmp_path / "prompts.json", force=True)
    assert shorter.prompts == tracker.prompts


def test_masklets_hold_everything_that_came_out(tracker: VideoTracker) -> None:
    tracker.add_prompt(0, 1, **FIRST)
    found = run(tracker)
    masklet = tracker.masklets()[1]
    assert {(f, 1): m for f, m in masklet} == found


def test_a_prompt_that_does_not_fit_leaves_everything_as_it_was(tracker: VideoTracker) -> None:
    tracker.add_prompt(0, 1, **FIRST)
    with pytest.raises(PromptError, match="outside"):
        tracker.add_prompt(0, 2, points=[(500, 10)])
    with pytest.raises(PromptError, match="ends with frame 11"):
        tracker.add_prompt(12, 1, points=[(5, 10)])
    assert tracker.objects == (1,)
    assert len(tracker.prompts) == 1


def test_an_unknown_object_is_named(tracker: VideoTracker) -> None:
    with pytest.raises(TrackingError, match="add a prompt"):
        tracker.propagate()
    tracker.add_prompt(0, "a", **FIRST)
    with pytest.raises(PromptError, match="There is no object 'b'"):
        tracker.remove_object("b")


def test_a_mask_may_be_shown_in_the_place_of_one_that_is_tracked_from(
    small_model: Sam2Model, movie: np.ndarray
) -> None:
    tracker = VideoTracker(small_model, movie)
    tracker.add_prompt(0, 1, box=(8, 18, 28, 38))
    list(tracker.propagate(stop=1))
    tracked_from, shown = (
        ObjectMask.from_box(box, tracker.frame_size) for box in ((10, 20, 26, 36), (12, 22, 30, 40))
    )
    tracker.take(1, {1: tracked_from}, {1: shown})
    assert tracker.mask(1, 1) == shown
    assert tracker.tracked()[0].bank.tracked[1].box == tracked_from.box
