"""A tracker taken one prompt back or on, exactly as it was, where that is its own last change."""

from __future__ import annotations

from collections.abc import Callable

from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.napari_plugin.layers.marks import Prompts


def went_back(tracker: VideoTracker, frame: int, label: int, wanted: Prompts) -> bool:
    """Undo exactly, where the last change of a tracker is the one to be taken back."""
    return _stepped(tracker.undo_prompt, tracker.redo_prompt, tracker, frame, label, wanted)


def went_on(tracker: VideoTracker, frame: int, label: int, wanted: Prompts) -> bool:
    """Redo exactly, where the change that a tracker has undone last is the one that is wanted."""
    return _stepped(tracker.redo_prompt, tracker.undo_prompt, tracker, frame, label, wanted)


def _stepped(
    step: Callable[[], Prompt | None],
    back: Callable[[], Prompt | None],
    tracker: VideoTracker,
    frame: int,
    label: int,
    wanted: Prompts,
) -> bool:
    others = [p for p in tracker.prompts if (p.frame, p.obj) != (frame, label)]
    if step() is None:
        return False
    here = tuple(p for p in tracker.prompts if (p.frame, p.obj) == (frame, label))
    rest = [p for p in tracker.prompts if (p.frame, p.obj) != (frame, label)]
    if (here, rest) == (wanted, others):
        return True
    back()
    return False
