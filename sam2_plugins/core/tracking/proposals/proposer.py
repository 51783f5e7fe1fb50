"""All objects of a frame, without a prompt, each with the mask that the model draws of it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.checkpoints.companions import load_object_finder
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import ObjectFinder
from sam2_plugins.core.model.prompt_encoder import BOX_END, BOX_START
from sam2_plugins.core.runtime import in_inference
from sam2_plugins.core.tracking.operations import Operations
from sam2_plugins.core.tracking.proposals.clicks import ClickGrid, propose_by_clicks
from sam2_plugins.core.tracking.proposals.foreground import mended
from sam2_plugins.core.tracking.proposals.landscape import Hill, Surveyor, windows_of
from sam2_plugins.core.tracking.windows.planner import Window, WindowPlanner, extent_of

Propose: TypeAlias = Callable[[int], Sequence[ObjectMask]]
"""Returns the masks of a frame, with how sure they are as `iou`."""

SEEN_SHARE, SHARE_LOG_SIGMA = 0.2, 1.2
"""Share of a window's side that objects should have across, and the natural logarithm by which they
may well differ from it. Chosen on synthetic pictures; see docs/lineage.md.
"""

LARGE_SHARE = 0.25
"""Share of the whole frame from which on an object is better seen without windows."""

ENLARGED = 4.0
"""Pixels of the model's input across one of the frame, at most: enlarged, small objects that touch
are told apart, though there is nothing more to see of them.
"""

ENLARGED_PIXELS = 2**20
"""Pixels of a frame that may be looked at enlarged: four times the windows, and cells of half a
pixel, cost a larger one too much time and memory.
"""

CLEARER = 1.05
"""Factor by which objects stand out more, at least, if they are looked at enlarged."""

TRIAL_WINDOWS = 12
"""Windows of each size through which a frame is looked at to find the best size."""

UNLIKE = 1.6
"""Factor by which an object's diameter may differ from those of the examples."""

GROWN = 1.5
"""When objects have become so much larger or smaller, the best size is looked for again."""

SMALLEST = 0.15
"""Share of the usual area (half of all ground is of larger objects) below which a hill is a speck,
unless the frame's edge cuts it. Chosen on synthetic pictures, where no object is smaller.
"""

LOWEST, LOWEST_AT_EDGE = 0.5, 0.3
"""Depth of its top below which a hill is no object: 1 to 2 % of the true ones are that low. Of what
the frame's edge cuts, the deepest part is seldom seen.
"""

SAME_OBJECT = 0.6
"""IoU with its hill from which on the mask that the model draws is of the same object."""


class ObjectProposer:
    """Proposes the objects of frames of one movie.

    The frame is looked at through windows in which its objects have the size that the finder knows
    best; that size is learned from the frame itself. Then each is drawn from its box.

    Parameters
    ----------
    examples
        Masks of objects like those that are meant: their size is taken, and what is much smaller
        or larger is left out.
    """

    def __init__(
        self,
        finder: ObjectFinder,
        operations: Operations,
        planner: WindowPlanner,
        examples: Sequence[ObjectMask] = (),
    ) -> None:
        self.model = operations.model
        self._operations = operations
        self._planner = planner
        self._surveyor = Surveyor(finder, operations.features, planner)
        self._sizes = [extent.across for m in examples if (extent := extent_of(m)) is not None]
        self._side: int | None = None
        self._usual: float | None = None

    def __call__(self, frame: int) -> list[ObjectMask]:
        """Return the masks of a frame, the surest first; they do not overlap."""
        return disjoint(self._drawn(frame, self._hills(frame)))

    # -- where objects are

    def _hills(self, frame: int) -> list[Hill]:
        if self._usual is None:
            self._side = self._best_side(frame)
        hills = self._surveyor.hills(frame, self._side)
        usual = _usual_size(hills)
        if self._usual and usual and abs(math.log(usual / self._usual)) > math.log(GROWN):
            self._side = self._best_side(frame)
            hills = self._surveyor.hills(frame, self._side)
            self._usual, usual = None, _usual_size(hills)
        self._usual = self._usual or usual
        clear = [hill for hill in hills if self._counts(hill, usual)]
        found = mended(clear, usual, self._operations.features.picture(frame))
        return [hill for hill in found if self._counts(hill, usual)]

    def _counts(self, hill: Hill, usual: float) -> bool:
        """Whether a hill is an object, and of a size that is meant."""
        at_edge = self._planner.at_edge(hill.mask)
        if hill.top < (LOWEST_AT_EDGE if at_edge else LOWEST):
            return False
        across = math.sqrt(4 / math.pi * hill.mask.area)
        if self._sizes:
            return min(self._sizes) / UNLIKE <= across <= max(self._sizes) * UNLIKE
        return (across / usual) ** 2 >= SMALLEST or at_edge

    def _best_side(self, frame: int) -> int | None:
        """Side of the windows through which the frame's objects stand out the most."""
        planner = self._planner
        # Of what an example is as large as is not known how clear it is.
        enlarges = not self._sizes and math.prod(planner.frame_size) <= ENLARGED_PIXELS
        sides = planner.ladder(ENLARGED) if enlarges else planner.ladder()
        rungs: list[int | None] = [None, *reversed(sides)]
        if self._sizes:
            wanted = float(np.median(self._sizes)) / SEEN_SHARE
            whole = max(self._planner.frame_size)
            return min(rungs, key=lambda side: abs(math.log((side or whole) / wanted)))
        side, clearest, ground = None, 0.0, np.zeros(self._planner.frame_size, bool)
        best = 0.0  # of the views that are not enlarged, those too that are not taken
        for rung in rungs:
            views = dict.fromkeys((rung, self._planner.coarser(rung)))
            windows = [window for one in views for window in self._trial(one, ground)]
            hills = self._surveyor.hills(frame, rung, windows)
            clarity, share = _clarity(hills, rung or max(self._planner.frame_size))
            enlarged = self._planner.enlarges(rung)
            # What is as clear otherwise falls to pieces if it is enlarged.
            better = clarity > max(clearest, CLEARER * best if enlarged else 0.0)
            # The whole frame has no view from further away to be sobered by: it is for what no
            # window holds.
            if better and (rung is not None or share > LARGE_SHARE):
                side, clearest = rung, clarity
            best = best if enlarged else max(best, clarity)
            if hills:
                ground = np.zeros_like(ground)
                for hill in hills:
                    hill.mask.paste_into(ground, True)
        return side

    def _trial(self, side: int | None, ground: NDArray[np.bool_]) -> list[Window]:
        """Windows to try: where something was seen from further away, and some all over."""
        windows = windows_of(self._planner, side)
        spread = windows[:: -(-len(windows) // (TRIAL_WINDOWS // 2))]
        windows.sort(key=lambda window: -int(window.crop(ground).sum()))
        return list(dict.fromkeys([*spread, *windows]))[:TRIAL_WINDOWS]

    # -- their masks

    @in_inference
    def _drawn(self, frame: int, hills: Sequence[Hill]) -> list[ObjectMask]:
        """Masks of hills, drawn by the model from the boxes around them.

        None reaches onto another's hill.
        """
        owner = np.zeros(self._planner.frame_size, np.int32)
        by_window: dict[Window, list[int]] = defaultdict(list)
        for number, hill in enumerate(hills, 1):
            hill.mask.paste_into(owner, number)
            extent = extent_of(hill.mask)
            if extent is not None:
                side = self._planner.side_for(extent)
                by_window[self._planner.window(extent.box, side)].append(number)
        found = []
        for window, numbers in by_window.items():
            drawn = self._draw(frame, window, [hills[number - 1] for number in numbers])
            for number, mask in zip(numbers, drawn, strict=True):
                found.append(_on_its_hill(mask, hills[number - 1], owner, number))
        return found

    def _draw(self, frame: int, window: Window, hills: Sequence[Hill]) -> Iterator[ObjectMask]:
        boxes = np.array([hill.mask.box for hill in hills], float).reshape(-1, 2, 2)
        for decoded in self._operations.decode_each(frame, window, boxes, (BOX_START, BOX_END)):
            for row in range(len(decoded.mask)):
                yield self._operations.drawn(decoded, row, window)


def _on_its_hill(
    drawn: ObjectMask, hill: Hill, owner: NDArray[np.int32], number: int
) -> ObjectMask:
    """What is drawn of a hill, without the others' ground; the hill if that is something else."""
    below = owner[drawn.slices]
    mask = replace(drawn, crop=drawn.crop & ((below == 0) | (below == number)))
    same = mask.iou_with(hill.mask) >= SAME_OBJECT
    return replace(
        mask if same else hill.mask, iou=hill.presence * max(drawn.iou, 0.0), score=drawn.score
    )


def make_proposer(
    operations: Operations, planner: WindowPlanner, like: Sequence[ObjectMask] = ()
) -> Propose:
    """Return what proposes objects with a model: its finder if it has one, else a grid of clicks.

    `like` are the examples of an `ObjectProposer`.
    """
    finder = load_object_finder(operations.model)
    if finder is not None:
        return ObjectProposer(finder, operations, planner, like)
    sizes = [mask.area for mask in like if mask.visible]

    def by_clicks(frame: int) -> list[ObjectMask]:
        found = propose_by_clicks(operations, planner, frame, ClickGrid())
        fit = [
            mask
            for mask in found
            if not sizes or min(sizes) <= UNLIKE**2 * mask.area <= UNLIKE**4 * max(sizes)
        ]
        return disjoint(fit)

    return by_clicks


def disjoint(masks: Sequence[ObjectMask]) -> list[ObjectMask]:
    """Give every pixel to the surest mask that has it; what loses most of its pixels is dropped."""
    kept: list[ObjectMask] = []
    if not masks:
        return kept
    free = np.ones(masks[0].frame_size, bool)
    for mask in sorted(masks, key=lambda m: -m.iou):
        left = mask.crop & free[mask.slices]
        if 2 * int(left.sum()) > mask.area:
            whole = replace(mask, crop=left).without_specks(1.0)
            free[mask.slices] &= ~mask.crop
            kept.append(whole)
    return kept


def _usual_size(hills: Sequence[Hill]) -> float:
    """Diameter in pixels of hills: half of all ground is of larger ones. 0 if there is none."""
    areas = np.sort([hill.mask.area for hill in hills])
    if not len(areas):
        return 0.0
    ground = areas.cumsum()
    middle = areas[np.searchsorted(ground, ground[-1] / 2)]
    return math.sqrt(4 / math.pi * middle)


def _clarity(hills: Sequence[Hill], side: int) -> tuple[float, float]:
    """How much hills stand out in windows of a side, and what share of it they have across.

    Large hills count more. Of equally clear views, that in which they are as large as they should
    be.
    """
    if not hills:
        return 0.0, 0.0
    areas = [hill.mask.area for hill in hills]
    share = math.sqrt(4 / math.pi * float(np.average(areas, weights=areas))) / side
    unusual = math.log(share / SEEN_SHARE) / SHARE_LOG_SIGMA
    height = float(np.average([hill.top for hill in hills], weights=areas))
    return height * math.exp(-(unusual**2) / 2), share
