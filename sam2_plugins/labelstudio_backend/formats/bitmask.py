"""Bitmasks: a PNG as a data URL, the object black and opaque, all else transparent."""

from __future__ import annotations

import base64
import binascii
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.labelstudio_backend.errors import FormatError

_PREFIX = "data:image/png;base64,"


def encode(mask: NDArray[np.bool_]) -> str:
    """Encode a mask [H, W]."""
    picture = np.zeros((*mask.shape, 4), np.uint8)
    picture[..., 3] = np.where(mask, 255, 0)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return _PREFIX + base64.b64encode(file.getvalue()).decode("ascii")


def decode(url: str, height: int, width: int) -> NDArray[np.bool_]:
    """Decode a bitmask to a mask [H, W].

    Raises
    ------
    FormatError
        If it is no PNG of that size.
    """
    try:
        with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2], validate=True))) as png:
            if png.size != (width, height):
                raise ValueError(f"it is {png.width}×{png.height} pixels, not {width}×{height}")
            return np.asarray(png.convert("RGBA"))[..., 3] > 0
    except (OSError, ValueError, AttributeError, binascii.Error, SyntaxError) as error:
        raise FormatError(
            f"The bitmask region is damaged ({error}). Erase it and paint it again."
        ) from error
