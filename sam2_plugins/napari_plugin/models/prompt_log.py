"""The prompts that the model has answered, and the masks that follow from them, line by line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf
from typing import TypeAlias

from sam2_plugins.core.prompts import XY
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.marks import Prompts
from sam2_plugins.napari_plugin.layers.mask_store import Entry, MaskStore

Key: TypeAlias = "tuple[Line, int, int]"
"""Line, frame on it, and label of an object."""
Beside: TypeAlias = "tuple[tuple[XY, ...] | None, ...]"
"""`Prompt.beside` of the prompts of an object on a frame."""


class PromptLog:
    """Prompts of an image's objects, and which frames have to be tracked again after a correction.

    Parameters
    ----------
    store
        The masks; what was removed, or undone, is of an object that had the label before.

    Attributes
    ----------
    tracked
        Frames whose masks follow from the prompts, by line and label.
    outdated
        Frames after a correction whose masks are from before it, by line and label.
    """

    def __init__(self, store: MaskStore) -> None:
        self._store = store
        self._prompts: dict[Key, Prompts] = {}
        self.tracked: dict[tuple[Line, int], set[int]] = {}
        self.outdated: dict[tuple[Line, int], set[int]] = {}

    def get(self, key: Key) -> Prompts:
        """Return the prompts of an object on a frame."""
        return self._prompts.get(key, ())

    def along(self, line: Line) -> dict[tuple[int, int], Prompts]:
        """Return the prompts along a line by frame and label, in the order in which they came."""
        # A copy, for a worker may add prompts meanwhile.
        return {
            (frame, label): prompts
            for (where, frame, label), prompts in list(self._prompts.items())
            if where == line
        }

    def entries(self, axis: int | None) -> set[Entry]:
        """Return where any object has a prompt along any line of an axis."""
        keys = list(self._prompts)
        return {(line.index(frame), label) for line, frame, label in keys if line.axis == axis}

    @property
    def beside(self) -> dict[Key, Beside]:
        """Clicks on other objects that the masks leave out, prompt by prompt."""
        known = list(self._prompts.items())  # a worker may add to them meanwhile
        return {key: tuple(p.beside for p in prompts) for key, prompts in known}

    def leaving_out(self, label: int) -> set[int]:
        """Return the objects whose masks leave out a click on this one."""
        prompts = [(key, prompt) for key, some in self._prompts.items() for prompt in some]
        clicks = {
            (line, frame, xy)
            for (line, frame, obj), prompt in prompts
            if obj == label and prompt.points
            for xy in prompt.points.on_it
        }
        return {
            obj
            for (line, frame, obj), prompt in prompts
            if any((line, frame, xy) in clicks for xy in prompt.beside or ())
        }

    def put(self, key: Key, prompts: Prompts) -> None:
        """Set the prompts of an object on a frame: masks up to its next prompts are outdated."""
        if prompts:
            self._prompts[key] = prompts
        else:
            self._prompts.pop(key, None)
        line, frame, label = key
        others = [f for f, obj in self.along(line) if obj == label and f != frame]
        first = max((f for f in others if f < frame), default=-1)
        last = min((f for f in others if f > frame), default=None)
        seen = {line.frame(index) for index in self._store.frames_of(label)}
        known = self.tracked.get((line, label), set()) & seen
        kept = {f for f in known if f <= first or (last is not None and f >= last)}
        self.tracked[line, label] = kept
        self.outdated.setdefault((line, label), set()).update(f for f in known - kept if f > frame)

    def recall(self, key: Key, prompts: Prompts, beside: Beside | None = None) -> None:
        """Restore answered prompts; no mask becomes outdated.

        Parameters
        ----------
        beside
            Of an earlier session: what each of those that were answered leaves out.
        """
        if beside is not None:
            pairs = zip(prompts, beside, strict=False)
            prompts = tuple(replace(prompt, beside=places) for prompt, places in pairs)
        if prompts:
            self._prompts[key] = prompts

    def tracked_to(self, line: Line, label: int, frame: int) -> None:
        """Note that a mask follows from the prompts."""
        self.outdated.get((line, label), set()).discard(frame)
        self.tracked.setdefault((line, label), set()).add(frame)

    def outdate(self, line: Line, label: int, frame: int) -> None:
        """Note that a mask does not follow from a correction before it."""
        if frame in self.tracked.get((line, label), ()):
            self.tracked[line, label].discard(frame)
            self.outdated.setdefault((line, label), set()).add(frame)

    def forget(self, label: int) -> None:
        """Drop the prompts of an object."""
        for key in [key for key in list(self._prompts) if key[-1] == label]:
            del self._prompts[key]

    def forget_masks(self, line: Line) -> None:
        """Note that no mask along a line follows from the prompts any more."""
        for key in [key for key in self.tracked if key[0] == line]:
            del self.tracked[key]

    def corrections(self, line: Line) -> dict[int, int]:
        """Frame of the first correction of each object that was not tracked on from there."""
        prompted: dict[int, list[int]] = {}
        for frame, label in self.along(line):
            prompted.setdefault(label, []).append(frame)
        found = {}
        for label, frames in prompted.items():
            old = self.outdated.get((line, label), set())
            before = [f for f in frames if any(n > f and _until(f, frames) > n for n in old)]
            if before:
                found[label] = min(before)
        return found

    def last_outdated(self, line: Line, corrections: Mapping[int, int]) -> int | None:
        """Last frame that is to be tracked again after corrections; None if there is none."""
        return max(
            (f for o, at in corrections.items() for f in self.outdated[line, o] if f > at),
            default=None,
        )


def _until(frame: int, prompted: Iterable[int]) -> float:
    """Return the next prompted frame after one, up to which its masks follow from it."""
    return min((f for f in prompted if f > frame), default=inf)
