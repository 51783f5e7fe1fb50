"""Encoding images as a video."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from sam2_plugins.core.frames._gate import media_url


def encode_video(
    path: Path, images: Iterable[NDArray[np.uint8]], fps: float = 24, crf: int = 18
) -> Path:
    """Write a video that browsers play: H.264, or VP9 where there is no such encoder.

    Parameters
    ----------
    images
        [H, W, 3], of even height and width.
    crf
        0 is without loss, and 51 the worst.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = "libx264" if "libx264" in av.codecs_available else "libvpx-vp9"
    with av.open(media_url(path), "w", options={"movflags": "+faststart"}) as container:
        options = {"crf": str(crf)}
        stream = cast("VideoStream", container.add_stream(codec, Fraction(fps), options=options))
        stream.pix_fmt = "yuv420p"
        for image in images:
            if not stream.codec_context.is_open:
                stream.height, stream.width = image.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path
