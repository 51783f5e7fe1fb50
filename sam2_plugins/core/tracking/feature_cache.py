"""Features of the windows of frames: each is encoded once, whatever the number of objects."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sam2_plugins.core.frames import FrameSource
from sam2_plugins.core.model import ImageFeatures, Sam2Model
from sam2_plugins.core.tracking.windows.planner import Window

WINDOWS_AT_ONCE = 8
"""Windows in one batch on an accelerator. On a processor a batch is no faster, and takes memory."""

PICTURES = 2
"""Frames whose pictures are kept: this one, and the one before it."""


class FeatureCache:
    """The most recently used features, bounded in bytes.

    Parameters
    ----------
    model, frames
        What encodes, and what is encoded.
    megabytes
        Features kept beyond those that a call asks for.
    """

    def __init__(self, model: Sam2Model, frames: FrameSource, megabytes: float = 8) -> None:
        self._model = model
        self._frames = frames
        self._limit = megabytes * 1e6
        self._kept: OrderedDict[tuple[int, Window], ImageFeatures] = OrderedDict()
        self._pictures: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self.encoded = 0

    def get(self, frame: int, windows: Sequence[Window]) -> dict[Window, ImageFeatures]:
        """Features of some windows of one frame; only those not kept are encoded."""
        found = {w: self._kept[frame, w] for w in windows if (frame, w) in self._kept}
        missing = [w for w in dict.fromkeys(windows) if w not in found]
        if missing:
            image = self.picture(frame)
            alone = self._model.device.type == "cpu" or self._model.image_size > 512
            at_once = 1 if alone else WINDOWS_AT_ONCE
            for first in range(0, len(missing), at_once):
                some = missing[first : first + at_once]
                found |= self._encode(image, some)
        for window in windows:
            self._kept[frame, window] = found[window]
            self._kept.move_to_end((frame, window))
        self._shrink(keep=len(found))
        return found

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Return a frame's picture [H, W, 3]; the last two are kept, for one is often asked twice.

        Raises
        ------
        IndexError
            If there is no such frame (any more).
        """
        if frame not in self._pictures:
            self._pictures[frame] = self._frames[frame].image
        self._pictures.move_to_end(frame)
        while len(self._pictures) > PICTURES:
            self._pictures.popitem(last=False)
        return self._pictures[frame]

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._pictures.clear()

    def _encode(self, image: np.ndarray, windows: Sequence[Window]) -> dict[Window, ImageFeatures]:
        model = self._model
        pixels = torch.cat([model.preprocess(w.crop(image).copy()) for w in windows])
        features = model.encode_image(pixels)
        self.encoded += len(windows)
        return {w: features[i : i + 1] for i, w in enumerate(windows)}

    def _shrink(self, keep: int) -> None:
        while len(self._kept) > keep and self._bytes() > self._limit:
            self._kept.popitem(last=False)

    def _bytes(self) -> int:
        first = next(iter(self._kept.values()))
        return len(self._kept) * sum(t.nbytes for t in (first.coarse, *first.skips))
