"""Label images in one TIFF file: page k is frame k of the movie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from sam2_plugins.core import files
from sam2_plugins.core.export.registry import Masks, Subject, export_format
from sam2_plugins.core.files import naming
from sam2_plugins.core.masks import compose_label_image, label_dtype

_CLASSIC_LIMIT = 1 << 32  # bytes that a TIFF which is not a BigTIFF can address


@export_format("tiff", "labels.tif", "Label images (TIFF)")
class LabelTiffWriter:
    """Writes a compressed OME-TIFF (TYX), page by page.

    The file is a readable multi-page TIFF after every frame. Closing adds the OME metadata, with
    the times of the frames and the size of the pixels where they are known. Where objects overlap,
    the smaller is in front. Frames that are left out, before the first or between two, get an empty
    page. Pages have 16 bits, or 32 from the first label on that needs them.
    """

    def __init__(self, path: Path, of: Subject) -> None:
        self.path = Path(path)
        self.frame_size = of.size
        self.pages = 0
        self._numbering = of.numbering
        self._pixel_size = of.scale.pixel_size
        self._times: list[float] | None = None if of.frames.fps is None else []
        self._n_frames = of.frames.length
        self._dtype = _dtype_for(self._numbering.largest)
        with naming(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._tiff = self._open(self.path)
        self._closed = False

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Append a page."""
        labelled = {self._numbering.label(obj): mask for obj, mask in masks.items()}
        with naming(self.path):
            if _dtype_for(max(labelled, default=0)).itemsize > self._dtype.itemsize:
                self._widen()
            while self.pages < frame:
                self._append(np.zeros(self.frame_size, self._dtype))
            self._append(compose_label_image(labelled, self.frame_size, self._dtype))
        if self._times is not None:
            self._times = [*self._times, time] if len(self._times) == frame else None

    def close(self) -> None:
        """Write the OME metadata, in which the pages are frames."""
        if self._closed:
            return
        self._closed = True
        with naming(self.path):
            self._tiff.close()
            if self.pages:
                ome, (height, width) = tifffile.OmeXml(), self.frame_size
                stored, shape = (self.pages, 1, 1, height, width, 1), (self.pages, height, width)
                facts = {"axes": "TYX", "Name": "labels", **self._physical()}
                ome.addimage(self._dtype, shape, stored, **facts)
                tifffile.tiffcomment(self.path, str(ome.tostring(declaration=True)).encode())

    def _open(self, path: Path) -> tifffile.TiffWriter:
        height, width = self.frame_size
        raw = height * width * self._dtype.itemsize * (self._n_frames or _CLASSIC_LIMIT)
        return tifffile.TiffWriter(path, bigtiff=raw >= _CLASSIC_LIMIT)

    def _widen(self) -> None:
        """Write the pages so far again with 32 bits: those of one file have to be alike."""
        self._tiff.close()
        self._dtype = np.dtype(np.uint32)
        if not self.pages:
            self._tiff = self._open(self.path)
            return
        with files.replacing(self.path) as wider, tifffile.TiffFile(self.path) as narrow:
            self._tiff, self.pages = self._open(wider), 0
            for page in narrow.pages:
                self._append(page.asarray().astype(self._dtype))
            self._tiff.close()
        self._tiff = tifffile.TiffWriter(self.path, append=True)

    def _append(self, page: np.ndarray) -> None:
        self._tiff.write(
            page,
            compression="zlib",
            contiguous=False,
            metadata=None,
            # A place for the metadata, which need the number of pages.
            description="labels" if self.pages == 0 else None,
        )
        self.pages += 1

    def _physical(self) -> dict[str, Any]:
        """Times and sizes of the movie as attributes of the OME schema 2016-06."""
        facts: dict[str, Any] = {}
        if self._pixel_size is not None:
            x, y = self._pixel_size
            facts = {"PhysicalSizeX": x, "PhysicalSizeY": y}
            facts |= {"PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
        if self._times and len(self._times) == self.pages > 1:
            steps = np.diff(self._times)
            if np.allclose(steps, steps[0], rtol=1e-3):
                facts |= {"TimeIncrement": float(steps.mean()), "TimeIncrementUnit": "s"}
            else:
                facts["Plane"] = {"DeltaT": self._times, "DeltaTUnit": ["s"] * self.pages}
        return facts


def _dtype_for(label: int) -> np.dtype[Any]:
    """Labels are 16 bits wide if they can be: not every program reads those of 8 or 32."""
    return max(np.dtype(np.uint16), label_dtype(label), key=lambda dtype: dtype.itemsize)
