"""File › Save Selected Layers: a Labels layer as a Cell Tracking Challenge folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export import Blank, CtcWriter, Subject
from sam2_plugins.core.files import require_empty
from sam2_plugins.core.masks import ObjectId, ObjectMask, split_label_image


def write_ctc(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write labels (T, Y, X) as `mask000.tif` … and `res_track.txt`.

    Raises
    ------
    ExportError
        If the layer is not a time-lapse of labels, or the folder cannot be written.
    """
    if len(data.shape) != 3:
        raise ExportError(
            f"The labels have shape {tuple(data.shape)}; a Cell Tracking Challenge folder holds "
            "(T, Y, X)."
        )
    frames, height, width = (int(n) for n in data.shape)
    require_empty(Path(path))  # the writer removes what such a folder holds from before
    writer = CtcWriter(Path(path), Subject(Blank(path, (height, width), frames)))
    for frame in range(frames):
        found = split_label_image(np.asarray(data[frame]))
        masks: dict[ObjectId, ObjectMask] = {label: found[label] for label in found}
        writer.write(frame, float(frame), masks)
    writer.close()
    return [path]
