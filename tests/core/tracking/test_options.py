from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sam2_plugins.core.errors import TrackingError
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.tracker import VideoTracker


def test_options_name_the_policy_as_it_is_called_today() -> None:
    assert TrackingOptions(memory="motion") == TrackingOptions(memory="samurai")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"memory": "elephant"}, "elephant"),
        ({"direction": "sideways"}, "sideways"),
        ({"window": -3}, "-3"),
        ({"window": "small"}, "small"),
    ],
)
def test_a_choice_that_does_not_exist_is_named(values: dict[str, object], named: str) -> None:
    with pytest.raises(TrackingError, match=named):
        TrackingOptions(**values)  # type: ignore[arg-type]


def test_of_plain_values_only_the_options_are_taken_and_tile_is_an_earlier_name() -> None:
    options = TrackingOptions.of({"tile": 128, "memory": "sam2", "formats": ("csv",)})
    assert options == TrackingOptions(window=128)


def test_masks_do_not_depend_on_the_device() -> None:
    on = [TrackingOptions("nano", device).identity() for device in ("cpu", "cuda")]
    assert on[0] == on[1]
    assert TrackingOptions(window=None).identity() != TrackingOptions().identity()


def test_masks_depend_on_what_a_file_of_weights_holds(tmp_path: Path) -> None:
    path = tmp_path / "mine.pt"
    known = []
    for weights in (b"first", b"trained anew", b"first"):
        path.write_bytes(weights)
        known.append(TrackingOptions(str(path)).identity())
    assert known[0] == known[2] != known[1]


def test_options_that_are_new_are_not_of_what_an_earlier_version_kept_its_results_by() -> None:
    assert "neighbours" not in TrackingOptions().identity()
    assert TrackingOptions(neighbours=False).identity() != TrackingOptions().identity()


def test_options_make_a_tracker_and_its_run(small_model: Sam2Model, movie: np.ndarray) -> None:
    options = TrackingOptions(window=48, memory="dam4sam", direction="both", stop=5)
    tracker = options.tracker(movie, small_model)
    tracker.add_prompt(3, 1, box=(10, 20, 26, 36))
    assert type(tracker.policy).__name__ == "Dam4SamPolicy"
    assert [r.frame for r in options.propagate(tracker)] == [3, 4, 5, 2, 1, 0]


@pytest.mark.parametrize(("text", "window"), [("auto", "auto"), ("none", None), ("256", 256)])
def test_a_window_is_read_as_it_is_typed(text: str, window: object) -> None:
    assert TrackingOptions.of({"window": text}).window == window


def test_the_earlier_name_of_window_is_understood_with_a_note(
    small_model: Sam2Model, movie: np.ndarray
) -> None:
    with pytest.warns(DeprecationWarning, match="window"):
        tracker = VideoTracker(small_model, movie, tile=48)
    assert tracker._planner.ladder() == [48]
