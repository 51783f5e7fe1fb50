"""Stacks over time: the whole stack of one time point is tracked, then that of the next one.

From one time point to the next, an object is tracked in the plane where it is largest; its mask
there is what its next stack begins with.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.mask_store import Change, MaskStore
from sam2_plugins.napari_plugin.models.requests import Request, Step
from sam2_plugins.napari_plugin.models.session import Session


def track_volumes(
    session: Session, wanted: Request, labels: Sequence[int], begins: bool, change: Change
) -> Generator[Step, None, None]:
    """Track through the stack of the shown time point, and on to other ones.

    Parameters
    ----------
    wanted
        Its line is the shown stack; direction and range are of the time points.
    labels
        Objects that may be tracked.
    begins
        There are prompts in the shown stack, from which it is tracked; otherwise its masks are
        taken as they are.
    change
        Is filled with what takes the run back.
    """
    over, line = wanted.over, wanted.line
    assert over is not None and line.axis is not None
    now, depth = line.at[over], session.store.shape[line.axis]
    moves = _moves(wanted, now, session.store.shape[over])
    total = depth * (1 + len(moves))
    stack = replace(wanted, direction="both", start=None, stop=None, since=None, over=None)
    done = 0
    if begins:
        for step in session.run(stack, change):
            done += 1
            yield replace(step, done=done, total=total)
    for n, (before, after) in enumerate(moves, 1):
        here, there = _at(line, over, before), _at(line, over, after)
        prompted = {label for _, label in session.prompts.along(there)}
        known = [label for label in labels if label not in prompted]
        seeds = _seeds(session, wanted, here, (before, after), known)
        done = depth * n
        if not seeds and not prompted:
            continue
        for step in session.run(replace(stack, line=there), change, seeds):
            done += 1
            yield replace(step, done=done, total=total)


def largest(store: MaskStore, line: Line, label: int) -> int | None:
    """Frame of a line on which an object is largest; None if it is on none of them."""
    areas = {}
    for index in store.frames_of(label):
        frame, mask = line.frame(index), store.get(index, label)
        if frame is not None and mask is not None and mask.visible:
            areas[frame] = mask.area
    return max(areas, key=lambda frame: areas[frame], default=None)


def _seeds(
    session: Session, wanted: Request, here: Line, times: tuple[int, int], labels: Sequence[int]
) -> list[Prompt]:
    """Masks of objects at the next time point, each in the plane where it is largest now."""
    planes: dict[int, dict[int, ObjectMask]] = {}
    for label in labels:
        plane = largest(session.store, here, label)
        mask = None if plane is None else session.store.get(here.index(plane), label)
        if plane is not None and mask is not None:
            planes.setdefault(plane, {})[label] = mask
    seeds = []
    for plane, masks in planes.items():
        across = Line.through(wanted.over, here.index(plane))
        found = session.carry(wanted.view, across, times, masks)
        seeds += [Prompt.of(plane, label, mask=mask) for label, mask in found.items()]
    return seeds


def _moves(wanted: Request, now: int, count: int) -> list[tuple[int, int]]:
    """Pairs of time points, from one to the next, in order."""
    backward = wanted.direction == "backward"
    low, high = (wanted.stop, wanted.start) if backward else (wanted.start, wanted.stop)
    last = min(count - 1 if high is None else high, count - 1)
    later = [(t - 1, t) for t in range(now + 1, last + 1)]
    earlier = [(t + 1, t) for t in range(now - 1, (low or 0) - 1, -1)]
    return {"forward": later, "backward": earlier, "both": later + earlier}[wanted.direction]


def _at(line: Line, over: int, time: int) -> Line:
    """Return the stack of another time point."""
    return replace(line, at=tuple(time if i == over else n for i, n in enumerate(line.at)))
