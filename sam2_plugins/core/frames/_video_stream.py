"""Video that comes through a pipe or from the network, and can only be read forward."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from av.video.reformatter import VideoReformatter

from sam2_plugins.core.frames._decoder import choose_stream, decode
from sam2_plugins.core.frames._gate import open_container
from sam2_plugins.core.frames._orientation import of_frame
from sam2_plugins.core.frames._source import ReadOptions
from sam2_plugins.core.frames._stream import StreamSource, Timed


def open_video_stream(source: Any, name: str, options: ReadOptions) -> StreamSource:
    """Open a URL, a pipe, "-" (standard input) or a binary file object as a stream of frames."""
    container = open_container(sys.stdin.buffer if source == "-" else source, name)
    stream = choose_stream(container, options.stream, name, options.max_pixels)
    rate = float(stream.average_rate) if stream.average_rate else None
    codec = stream.codec_context.name
    return StreamSource(_pictures(container, stream), name, options, codec=codec, rate=rate)


def _pictures(container: Any, stream: Any) -> Iterator[Timed]:
    reformatter = VideoReformatter()
    size: tuple[int, int] | None = None
    start = 0.0
    with container:
        for count, frame in enumerate(decode(container.demux(stream), stream)):
            time = count if frame.time is None else frame.time
            if size is None:
                size, start = (frame.width, frame.height), time
            image = reformatter.reformat(frame, *size, "rgb24").to_ndarray()
            yield Timed(of_frame(frame).apply(image), time - start)
