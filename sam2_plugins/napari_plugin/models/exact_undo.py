"""Undoes or redoes a tracker's last prompt exactly."""

from __future__ import annotations

from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.napari_plugin.layers.marks import Prompts


def stepped_to(
    wanted: Prompts, tracker: VideoTracker, frame: int, label: int, forward: bool
) -> bool:
    """Undo or redo a tracker's last change, if that leads to the prompts that are wanted."""

    def prompts() -> tuple[Prompts, Prompts]:
        """Those of the object on the frame, and all others."""
        here = tuple(p for p in tracker.prompts if (p.frame, p.obj) == (frame, label))
        return here, tuple(p for p in tracker.prompts if (p.frame, p.obj) != (frame, label))

    _, others = prompts()
    step, back = tracker.undo_prompt, tracker.redo_prompt
    if forward:
        step, back = back, step
    if step() is None:
        return False
    if prompts() == (wanted, others):
        return True
    back()
    return False
