"""COCO run-length encoding: runs of background and object in turn, down the columns.

Encoding is left to pycocotools. Decoding is done here, because pycocotools returns uninitialised
memory for runs that stop short of the frame's end.
The format: https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

_MOST_PIXELS = 1 << 28  # as many as a frame may have


class CocoRle(TypedDict):
    """A COCO compressed run-length encoding: `size` is (height, width)."""

    size: list[int]
    counts: str


def encode(columns: NDArray[np.bool_], x0: int, frame_size: tuple[int, int]) -> CocoRle:
    """Encode a frame of which only some columns hold anything.

    Parameters
    ----------
    columns
        bool [H, w]: the frame's columns from `x0` on.
    """
    height, width = frame_size
    runs = columns.ravel(order="F")
    changes = np.flatnonzero(np.diff(runs, prepend=False, append=False)) + x0 * height
    counts = np.diff(changes, prepend=0).tolist()
    if rest := height * width - sum(counts):
        counts.append(rest)
    size = [height, width]
    packed = coco_mask.frPyObjects({"size": size, "counts": counts}, height, width)
    return {"size": size, "counts": packed["counts"].decode("ascii")}


def decode(rle: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Decode a COCO RLE, compressed (str or bytes) or a list of counts, to bool [H, W].

    Raises
    ------
    ValueError
        If a key is missing or of the wrong kind, or the runs do not fill a frame of that size.
    """
    try:
        height, width = (int(n) for n in rle["size"])
        counts = rle["counts"]
        if isinstance(counts, str):
            counts = counts.encode("ascii")
        runs = np.array(_unpack(counts) if isinstance(counts, bytes) else counts, dtype=np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"This is no COCO run-length encoding: {type(error).__name__} {error}"
        ) from error
    if height * width > _MOST_PIXELS:
        raise ValueError(f"This mask is of {height}×{width} pixels (height×width): too large.")
    is_list = runs.ndim == 1 and not np.any((runs < 0) | (runs > height * width))
    if not is_list or int(runs.sum()) != height * width:
        raise ValueError(
            f"This COCO run-length encoding is damaged: its runs do not fill {height}×{width} "
            "pixels (height×width)."
        )
    pixels = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return pixels.reshape(width, height).T


def _unpack(text: bytes) -> list[int]:
    """Read the runs of a compressed RLE.

    Each character holds 5 bits, lowest first, and whether more follow; the last one's highest bit
    is the sign. From the fourth run on, it is the difference to the run two before that is stored.
    """
    runs: list[int] = []
    value = shift = 0
    for byte in text:
        code = byte - 48
        if not 0 <= code < 64:
            raise ValueError(f"character {chr(byte)!r}")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    return runs
