"""A row of close-ups per cell: what a person looks at to tell whether each was kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from sam2_plugins.core import files
from sam2_plugins.core.export import Subject, overlay
from sam2_plugins.core.export.overlay import Picture, font
from sam2_plugins.core.export.registry import Masks
from sam2_plugins.core.masks import ObjectId, PixelBox

_CELL_PX, _GAP, _MARGIN = 120, 4, 56
_ROOM = 1.9  # side of a close-up, in usual lengths of the object
_MOST_ROOM = 2.0  # and how much larger it may be for one that grew apart, as a dividing cell does
_PAPER, _INK, _FAINT = (255, 255, 255), (25, 28, 33), (105, 110, 118)


class CellStripsWriter:
    """Gathers masks, and draws them when closed: a row per object, a column per frame.

    Every close-up of a row has the same size in pixels of the frame and is centred on the object,
    or on where it was last seen; only the row's object is drawn.

    Parameters
    ----------
    columns
        Frames that are shown, at even distances.
    """

    def __init__(self, path: Path, of: Subject, columns: int = 10) -> None:
        self.path = Path(path)
        self._frames = of.frames
        self._numbering = of.numbering
        self._columns = columns
        self._results: list[tuple[int, Masks]] = []

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Keep the masks of a frame."""
        self._results.append((frame, dict(masks)))

    def close(self) -> None:
        """Draw the rows and save them."""
        if not self._results:
            return
        count = min(self._columns, len(self._results))
        chosen = np.linspace(0, len(self._results) - 1, count).round().astype(int)
        page = self._draw([int(index) for index in chosen])
        self._results = []
        with files.replacing(self.path) as temporary:
            page.save(temporary)

    def _draw(self, chosen: list[int]) -> Image.Image:
        objects = list(dict.fromkeys(obj for _, masks in self._results for obj in masks))
        step, top = _CELL_PX + _GAP, 28
        size = (_MARGIN + step * len(chosen), top + step * len(objects))
        page = Image.new("RGB", size, _PAPER)
        draw = ImageDraw.Draw(page)
        views = {obj: self._views(obj) for obj in objects}
        for row, obj in enumerate(objects):
            middle = top + row * step + _CELL_PX // 2
            draw.text((_MARGIN // 2, middle), str(obj), _INK, font(20), anchor="mm")
        for column, index in enumerate(chosen):
            frame, masks = self._results[index]
            x = _MARGIN + column * step
            draw.text((x + _CELL_PX // 2, top // 2), f"frame {frame}", _FAINT, font(14), "mm")
            image = self._frames[frame].image
            for row, obj in enumerate(objects):
                shown = {obj: masks[obj]} if obj in masks else {}
                picture = self._close_up(image, shown, views[obj][index])
                page.paste(Image.fromarray(picture), (x, top + row * step))
        return page

    def _views(self, obj: ObjectId) -> list[PixelBox]:
        """The part of the frame to show for an object, by result."""
        masks = [masks[obj] for _, masks in self._results if obj in masks]
        seen = [mask for mask in masks if mask.visible]
        boxes = [mask.box for mask in seen if mask.box]
        lengths = [max(x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes] or [0]
        usual = _ROOM * float(np.percentile(lengths, 25))
        side = round(max(24.0, usual, min(1.1 * max(lengths), _MOST_ROOM * usual)))
        box = boxes[0] if boxes else (0, 0, 0, 0)
        views = []
        for _, found in self._results:
            if obj in found:
                box = found[obj].box or box
            x, y = ((box[i] + box[i + 2] - side) // 2 for i in (0, 1))
            views.append((x, y, x + side, y + side))
        return views

    def _close_up(self, image: Picture, masks: Masks, view: PixelBox) -> Picture:
        """Cut a view out, black where it leaves the frame, with the object's outline on it."""
        x0, y0, x1, y1 = view
        height, width = image.shape[:2]
        inside = (max(x0, 0), max(y0, 0), min(x1, width), min(y1, height))
        scale = _CELL_PX / (x1 - x0)
        part = overlay(image, masks, self._numbering, scale, inside, alpha=0.0, names=False)
        canvas = np.zeros((_CELL_PX, _CELL_PX, 3), np.uint8)
        left, top = round((inside[0] - x0) * scale), round((inside[1] - y0) * scale)
        room = canvas[top : top + part.shape[0], left : left + part.shape[1]]
        room[:] = part[: room.shape[0], : room.shape[1]]
        return canvas
