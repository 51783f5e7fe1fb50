"""Brush masks: Label Studio's own run-length encoding (that of the package thi.ng/rle-pack).

A bit stream: 32 bits, the number of values; 5, their width - 1; four times 4, the widths - 1 of a
length. Then runs: 1 bit, whether one value is repeated; 2, which of the widths; the length - 1; and
one value, or as many as the length. The values are those of a flat RGBA picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.labelstudio_backend.errors import FormatError

WORD = 8
LENGTH_BITS = (3, 4, 8, 16)
CHANNELS = 4
_LONGEST = 1 << LENGTH_BITS[-1]


def encode(mask: NDArray[np.bool_]) -> list[int]:
    """Encode a mask [H, W] as bytes, the very ones that label-studio-sdk makes of it."""
    flat = np.asarray(mask, bool).ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=~flat[:1]))
    lengths = np.diff(starts, append=flat.size) * CHANNELS
    values = np.where(flat[starts], 255, 0)
    lengths, values = _split_long_runs(lengths, values)
    widest = np.searchsorted(1 << np.array(LENGTH_BITS), lengths)
    bits = np.array(LENGTH_BITS)[widest]
    tokens = (((4 | widest) << bits | (lengths - 1)) << WORD) | values
    body = _to_bits(tokens, 3 + bits + WORD)
    head_numbers = [flat.size * CHANNELS, WORD - 1, *(n - 1 for n in LENGTH_BITS)]
    head = _to_bits(np.array(head_numbers), np.array([32, 5, 4, 4, 4, 4]))
    return np.packbits(np.concatenate([head, body])).tolist()


def decode(rle: Sequence[int], height: int, width: int) -> NDArray[np.bool_]:
    """Decode the bytes of a brush region to a mask [H, W]: whatever is not transparent.

    Raises
    ------
    FormatError
        If the bytes are damaged, or of a picture of another size.
    """
    try:
        return _decode(np.unpackbits(np.array(rle, dtype=np.uint8)), height, width)
    except (ValueError, TypeError, OverflowError) as error:
        raise FormatError(
            f"The brush region is damaged ({error}). Erase it and paint it again."
        ) from error


def _decode(bits: NDArray[np.uint8], height: int, width: int) -> NDArray[np.bool_]:
    text = (bits + ord("0")).tobytes().decode("ascii")
    number, word = int(text[:32], 2), int(text[32:37], 2) + 1
    if number != height * width * CHANNELS or word != WORD:
        raise ValueError(f"{number} values of {word} bits for {width}×{height} pixels")
    sizes = [int(text[i : i + 4], 2) + 1 for i in range(37, 53, 4)]
    out = np.zeros(number, np.uint8)
    position, done = 53, 0
    while done < number:
        repeats = text[position : position + 1] == "1"
        size = sizes[int(text[position + 1 : position + 3], 2)]
        position += 3
        length = int(text[position : position + size], 2) + 1
        position += size
        count = 1 if repeats else length
        values = bits[position : position + WORD * count]
        if len(values) < WORD * count or done + length > number:
            raise ValueError("a run goes past the end")
        out[done : done + length] = np.packbits(values)
        position += WORD * count
        done += length
    return out.reshape(height, width, CHANNELS)[..., -1] > 0


def _split_long_runs(lengths: NDArray[Any], values: NDArray[Any]) -> tuple[NDArray, NDArray]:
    pieces = (lengths - 1) // _LONGEST + 1
    last = np.cumsum(pieces) - 1
    out = np.full(int(pieces.sum()), _LONGEST)
    out[last] = lengths - (pieces - 1) * _LONGEST
    return out, np.repeat(values, pieces)


def _to_bits(numbers: NDArray[Any], widths: NDArray[Any]) -> NDArray[np.uint8]:
    """Write numbers one after another, each with its width in bits (up to 32)."""
    all_bits = np.unpackbits(numbers.astype(">u4").view(np.uint8)).reshape(-1, 32)
    wanted = np.arange(32) >= 32 - widths[:, None]
    return all_bits[wanted]
