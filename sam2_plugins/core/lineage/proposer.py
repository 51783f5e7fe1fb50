"""All objects of a frame, without a prompt, each with the mask that the model draws of it."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sam2_plugins.core.lineage.landscape import Hill, Surveyor
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import ObjectFinder
from sam2_plugins.core.model.prompt_encoder import BOX_END, BOX_START
from sam2_plugins.core.runtime import in_inference
from sam2_plugins.core.tracking.predictor import Steps
from sam2_plugins.core.tracking.windows.planner import Window, WindowPlanner, extent_of

SEEN_SHARE = 0.2
"""Share of a window's side that objects have across where the finder sees them best."""

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
        operations: Steps,
        planner: WindowPlanner,
        examples: Sequence[ObjectMask] = (),
    ) -> None:
        self.model = operations.model
        self._operations = operations
        self._planner = planner
        self._surveyor = Surveyor(finder, operations.features, planner)
        self._sizes = [extent.across for m in examples if (extent := extent_of(m)) is not None]
        self._side: int | None = None
        self._knows_side = False

    def __call__(self, frame: int) -> list[ObjectMask]:
        """Return the masks of a frame, the surest first; they do not overlap."""
        return disjoint(self._drawn(frame, self._hills(frame)))

    # -- where objects are

    def _hills(self, frame: int) -> list[Hill]:
        if not self._knows_side:
            self._side = self._find_side(frame)
            self._knows_side = True
        hills = self._surveyor.hills(frame, self._side)
        if hills:
            # Cells grow, or fill the frame after a while.
            self._side = self._side_for(_usual_size(hills))
        return hills

    def _find_side(self, frame: int) -> int | None:
        """Side of the windows through which the frame's objects are seen best."""
        if self._sizes:
            return self._side_for(float(np.median(self._sizes)))
        for side in (None, *reversed(self._planner.ladder()[::2])):
            hills = self._surveyor.hills(frame, side)
            if hills:
                # From too far away objects seem larger than they are: look again, closer.
                better = self._side_for(_usual_size(hills))
                closer = self._surveyor.hills(frame, better) or hills
                return self._side_for(_usual_size(closer))
        return None

    def _side_for(self, size: float) -> int | None:
        """Side of the rung nearest to the one in which objects have the best share."""
        wanted = size / SEEN_SHARE
        rungs = [*self._planner.ladder(), None]
        whole = max(self._planner.frame_size)
        return min(rungs, key=lambda side: abs(math.log((side or whole) / wanted)))

    # -- their masks

    @in_inference
    def _drawn(self, frame: int, hills: Sequence[Hill]) -> list[ObjectMask]:
        """Masks of hills, drawn by the model from the boxes around them."""
        by_window: dict[Window, list[Hill]] = defaultdict(list)
        for hill in hills:
            extent = extent_of(hill.mask)
            if extent is not None:
                side = self._planner.side_for(extent)
                by_window[self._planner.window(extent.box, side)].append(hill)
        return [
            mask
            for window, some in by_window.items()
            for mask in self._draw(frame, window, some)
        ]

    def _draw(self, frame: int, window: Window, hills: Sequence[Hill]) -> Iterator[ObjectMask]:
        boxes = np.array([hill.mask.box for hill in hills], float).reshape(-1, 2, 2)
        batches = self._operations.decode_each(frame, window, boxes, (BOX_START, BOX_END))
        rows = ((decoded, row) for decoded in batches for row in range(len(decoded.mask)))
        for hill, (decoded, row) in zip(hills, rows, strict=True):
            drawn = self._operations.best(decoded, row, window)
            sure = hill.presence * max(drawn.iou, 0.0)
            mask = drawn if drawn.iou_with(hill.mask) >= SAME_OBJECT else hill.mask
            yield replace(mask, iou=sure, score=drawn.score)


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
    """Median diameter of a disc of a hill's area, in pixels."""
    return float(np.median([math.sqrt(4 / math.pi * hill.mask.area) for hill in hills]))
