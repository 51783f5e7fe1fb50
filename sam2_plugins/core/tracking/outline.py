"""Outlines of tracked objects, drawn anew from near before they are remembered."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from sam2_plugins.core.model.outline_refiner import SIDE, OutlineRefiner, kept
from sam2_plugins.core.tracking.feature_cache import FeatureCache
from sam2_plugins.core.tracking.recent import MOST, Recent
from sam2_plugins.core.tracking.transfer import to_device
from sam2_plugins.core.tracking.windows.planner import Window
from sam2_plugins.core.tracking.windows.scale_search import is_photograph

SPREADS = 8.0
"""Side of a closeup in standard deviations of the object's longest axis: twice an ellipse."""

LEAST_SIDE = 24.0
"""Side of a closeup in pixels of the frame, at least."""

LEAST_CELLS = 4.0
"""Of the mask's grid, that an object must cover to have an outline."""

LARGEST_SHARE = 0.6
"""Of its window's side: a larger closeup shows an object that fills its window."""

FINER = 2
"""Cells of a redrawn mask across one of the mask decoder's."""


@dataclass(frozen=True)
class Places:
    """Squares of the frame around n objects.

    Attributes
    ----------
    centres, sides
        [n, 2] (x, y), and [n], in pixels of the frame.
    cells
        [n] area of the masks in cells of their grid.
    """

    centres: Tensor
    sides: Tensor
    cells: Tensor

    def __getitem__(self, rows: slice | Tensor) -> Places:
        """Take some of them."""
        return Places(self.centres[rows], self.sides[rows], self.cells[rows])


Observer: TypeAlias = Callable[[Places, Tensor], None]


class Outlines:
    """Closeups of the objects of a movie, and masks redrawn from them.

    Attributes
    ----------
    observer
        Is given the places of what is redrawn, and what the refiner sees there: to learn from.
    """

    def __init__(self, features: FeatureCache, refiner: OutlineRefiner) -> None:
        self._features = features
        self._refiner = refiner
        # Many objects are prompted on one frame, each by itself; a processor sees one at a time.
        self._greys: Recent[Tensor] = Recent(2 if features.model.device.type == "cpu" else MOST)
        self.observer: Observer | None = None

    def shown(
        self,
        frames: Sequence[int],
        logits: Tensor,
        windows: Sequence[Window],
        given: Sequence[bool],
    ) -> list[Tensor | None]:
        """Return closeups of prompted frames; None where an outline is nothing to go by.

        That is so on a photograph, unless a person gave the mask: the outline that the model makes
        of what fills its window there is often wrong, and would be kept.
        """
        _, places, now = self._look(frames, logits, windows)
        near: list[Tensor | None] = list(now.to(torch.uint8).unbind())
        if all(given):
            return near
        each = zip(frames, places.sides.tolist(), windows, given, strict=True)
        for row, (frame, side, window, known) in enumerate(each):
            fills = side > LARGEST_SHARE * max(window.width, window.height)
            if fills and not known and is_photograph(self._features.picture(frame)):
                near[row] = None
        return near

    def redraw(
        self,
        frame: int,
        logits: Tensor,
        windows: Sequence[Window],
        before: Sequence[tuple[Tensor, Tensor] | None],
    ) -> tuple[Tensor, Tensor]:
        """Redraw masks.

        Parameters
        ----------
        logits
            [n, 1, h, w], each in its window.
        before
            Closeups of the frame before and of the prompted frame; None where an object has none.

        Returns
        -------
        logits
            [n, 1, FINER h, FINER w].
        closeups
            uint8 [n, 2, SIDE, SIDE], with the redrawn masks.
        """
        boxes, places, now = self._look([frame] * len(windows), logits, windows)
        own = now.to(torch.uint8).unbind()
        seen = [one for pair, here in zip(before, own, strict=True) for one in pair or (here, here)]
        earlier = torch.stack(seen).unflatten(0, (len(own), 2))
        closeups = torch.cat((now[:, None], earlier), 1)
        if self.observer is not None:
            self.observer(places, closeups)
        redrawn = self._seen_both_ways(closeups)
        known = to_device(np.array([pair is not None for pair in before]), logits.device)
        usable = (
            known
            & (places.cells >= LEAST_CELLS)
            # Whether an object is there is for the decoder to say.
            & (redrawn > 0).flatten(1).any(1)
        )[:, None, None, None]
        finer = F.interpolate(logits.float(), scale_factor=FINER, mode="bilinear")
        # Of a large object the mask's own grid may be finer than the closeup.
        change, inside = _placed(redrawn - kept(now[:, 1:] / 255), places, boxes, finer.shape[-2:])
        drawn = kept(finer.sigmoid()) + change
        masks = torch.where(usable, 255 * redrawn.sigmoid(), now[:, 1:])
        return (
            torch.where(usable & inside, drawn, finer),
            torch.cat((now[:, :1], masks), 1).to(torch.uint8),
        )

    def _seen_both_ways(self, closeups: Tensor) -> Tensor:
        """Return what the refiner draws, and what it draws in a mirror, in the mean.

        It is small, and not quite the same in a mirror; what it gets wrong there is something else.
        """
        mirrored = self._refiner(closeups.flip(-1)).flip(-1)
        return (self._refiner(closeups).float() + mirrored.float()) / 2

    def _look(
        self, frames: Sequence[int], logits: Tensor, windows: Sequence[Window]
    ) -> tuple[Tensor, Places, Tensor]:
        """Return the windows' boxes, where the objects are, and how they look there."""
        boxes = _boxes(windows, logits.device)
        places = _places(logits, boxes)
        pictures = self._pictures(frames, places, windows)
        return boxes, places, torch.cat((pictures, _masks(logits, places, boxes)), 1)

    def _pictures(self, frames: Sequence[int], places: Places, windows: Sequence[Window]) -> Tensor:
        """Grey pictures of places, [n, 1, SIDE, SIDE], no finer than the model sees them."""
        size = self._features.model.image_size
        levels = [max(0, int(math.log2(max(w.width, w.height) / size))) for w in windows]
        rows_of: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row, seen in enumerate(zip(frames, levels, strict=True)):
            rows_of[seen].append(row)
        found = places.sides.new_empty(len(levels), 1, SIDE, SIDE)
        for (frame, level), alike in rows_of.items():
            rows = to_device(np.array(alike), found.device)
            found[rows] = closeup_of(self._grey(frame, level), places[rows], 2**level)
        return found

    def _grey(self, frame: int, level: int) -> Tensor:
        """Return a frame in grey, [1, 1, H, W], 2**level of its pixels as one."""
        return self._greys.get((frame, level), lambda: self._make_grey(frame, level))

    def _make_grey(self, frame: int, level: int) -> Tensor:
        if level:
            return F.avg_pool2d(self._grey(frame, 0), 2**level, ceil_mode=True)
        if self._features.model.device.type == "cpu":  # libraries are quicker there
            image = Image.fromarray(self._features.picture(frame)).convert("L")
            return torch.from_numpy(np.array(image)).float()[None, None]
        return grey_of(self._features.on_device(frame))[None, None]


def grey_of(picture: Tensor) -> Tensor:
    """Luma of a picture, uint8 [H, W, 3], rounded as Pillow rounds it: float32 [H, W]."""
    red, green, blue = picture.to(torch.int32).unbind(2)
    return ((19595 * red + 38470 * green + 7471 * blue + 32768) >> 16).float()


def closeup_of(picture: Tensor, places: Places, scale: int = 1) -> Tensor:
    """Cut places out of a picture [1, 1, H, W]: [n, 1, SIDE, SIDE].

    Parameters
    ----------
    scale
        Pixels of the frame across one of the picture.
    """
    extent = _extent(picture.shape[-1] * scale, picture.shape[-2] * scale, picture.device)
    # Twice as many samples, averaged, so that nothing between two of them is left out.
    grid = 2 * _points(places, 2 * SIDE) / extent - 1
    some = picture.expand(len(grid), -1, -1, -1)
    samples = F.grid_sample(some, grid, padding_mode="border", align_corners=False)
    return F.avg_pool2d(samples, 2)


def _boxes(windows: Sequence[Window], device: torch.device) -> Tensor:
    """x, y, width and height of windows, [n, 4]."""
    values = [(w.x, w.y, w.width, w.height) for w in windows]
    return to_device(np.array(values, np.float32), device)


def _places(logits: Tensor, boxes: Tensor) -> Places:
    """Where the objects of masks are, by their centre and spread: these do not jump by cells."""
    # What is doubtful is part of the object in part, and what is unlikely not at all.
    weight = (logits[:, 0].float() / 2 + 0.5).clamp(0, 1)
    height, width = weight.shape[1:]
    cells = weight.sum((1, 2))
    mass = cells.clamp(min=1e-3)
    x = torch.arange(width, device=weight.device) + 0.5
    y = torch.arange(height, device=weight.device) + 0.5
    across, down = weight.sum(1), weight.sum(2)
    middle_x, middle_y = (across @ x) / mass, (down @ y) / mass
    scale_x, scale_y = boxes[:, 2] / width, boxes[:, 3] / height
    off_x, off_y = x - middle_x[:, None], y - middle_y[:, None]
    xx = (across * off_x**2).sum(1) / mass * scale_x**2
    yy = (down * off_y**2).sum(1) / mass * scale_y**2
    xy = torch.einsum("nyx,ny,nx->n", weight, off_y, off_x) / mass * scale_x * scale_y
    longest = (xx + yy) / 2 + ((xx - yy) ** 2 / 4 + xy**2).sqrt()
    centres = torch.stack((boxes[:, 0] + middle_x * scale_x, boxes[:, 1] + middle_y * scale_y), 1)
    return Places(centres, (SPREADS * longest.sqrt()).clamp(min=LEAST_SIDE), cells)


def _points(places: Places, count: int) -> Tensor:
    """Points (x, y) of the frame on a grid over each place, [n, count, count, 2]."""
    square = _square(count, places.sides.device)
    return places.centres[:, None, None] + places.sides[:, None, None, None] * square


@cache
def _square(count: int, device: torch.device) -> Tensor:
    """Points (x, y) of a grid over a square of side 1 around 0, [count, count, 2]."""
    with torch.inference_mode(False):
        steps = (torch.arange(count, device=device) + 0.5) / count - 0.5
        y, x = torch.meshgrid(steps, steps, indexing="ij")
        return torch.stack((x, y), 2)


@lru_cache(maxsize=16)
def _extent(width: int, height: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        return to_device(np.array((width, height), np.float32), device)


def _masks(logits: Tensor, places: Places, boxes: Tensor) -> Tensor:
    """Masks of places, [n, 1, SIDE, SIDE] from 0 to 255."""
    corner, extent = boxes[:, None, None, :2], boxes[:, None, None, 2:]
    grid = 2 * (_points(places, SIDE) - corner) / extent - 1
    near = F.grid_sample(logits.float(), grid, padding_mode="border", align_corners=False)
    return 255 * near.sigmoid()


def _placed(
    redrawn: Tensor, places: Places, boxes: Tensor, shape: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Bring logits of places to grids over their windows; and where these are within the places."""
    height, width = shape
    x = (torch.arange(width, device=boxes.device) + 0.5) / width
    y = (torch.arange(height, device=boxes.device) + 0.5) / height
    x = boxes[:, :1] + boxes[:, 2:3] * x
    y = boxes[:, 1:2] + boxes[:, 3:] * y
    x = 2 * (x - places.centres[:, :1]) / places.sides[:, None]
    y = 2 * (y - places.centres[:, 1:]) / places.sides[:, None]
    columns = x[:, None, :].expand(-1, height, -1)
    rows = y[:, :, None].expand(-1, -1, width)
    grid = torch.stack((columns, rows), 3)
    drawn = F.grid_sample(redrawn, grid, padding_mode="border", align_corners=False)
    return drawn, (grid.abs() < 1).all(3)[:, None]
