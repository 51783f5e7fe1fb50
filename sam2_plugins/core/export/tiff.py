"""Label images in one TIFF file: page k is frame k of the movie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export.numbering import Numbering
from sam2_plugins.core.export.writer import Masks, naming
from sam2_plugins.core.masks import compose_label_image

_CLASSIC_LIMIT = 1 << 32  # bytes that a TIFF which is not a BigTIFF can address


class LabelTiffWriter:
    """Writes a compressed OME-TIFF (TYX), page by page.

    The file is a readable multi-page TIFF after every frame. Closing adds the OME metadata. Where
    objects overlap, the smaller is in front. Frames that are left out, before the first or between
    two, get an empty page.

    Parameters
    ----------
    frame_size
        (height, width).
    n_frames
        Length of the movie; None if not known.
    numbering
        The label of each object.
    dtype
        Of the pages: they must all be alike, so it cannot follow the labels.
    """

    def __init__(
        self,
        path: Path,
        frame_size: tuple[int, int],
        n_frames: int | None = None,
        numbering: Numbering | None = None,
        dtype: type[np.unsignedinteger] = np.uint16,
    ) -> None:
        self.path = Path(path)
        self.frame_size = frame_size
        self.pages = 0
        self._numbering = numbering or Numbering()
        self._dtype = np.dtype(dtype)
        raw = frame_size[0] * frame_size[1] * self._dtype.itemsize * (n_frames or _CLASSIC_LIMIT)
        with naming(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._tiff = tifffile.TiffWriter(self.path, bigtiff=raw >= _CLASSIC_LIMIT)
        self._closed = False

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Append a page."""
        labelled = {self._numbering.label(obj): mask for obj, mask in masks.items()}
        try:
            page = compose_label_image(labelled, self.frame_size, self._dtype)
        except ValueError as error:
            raise ExportError(f"{self.path}, frame {frame}: {error}") from error
        with naming(self.path):
            while self.pages < frame:
                self._append(np.zeros_like(page))
            self._append(page)

    def close(self) -> None:
        """Say in the metadata that the pages are frames."""
        if self._closed:
            return
        self._closed = True
        with naming(self.path):
            self._tiff.close()
            if self.pages:
                tifffile.tiffcomment(self.path, self._ome().encode())

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

    def _ome(self) -> str:
        ome = tifffile.OmeXml()
        height, width = self.frame_size
        stored = (self.pages, 1, 1, height, width, 1)
        ome.addimage(self._dtype, (self.pages, height, width), stored, axes="TYX", Name="labels")
        return str(ome.tostring(declaration=True))
