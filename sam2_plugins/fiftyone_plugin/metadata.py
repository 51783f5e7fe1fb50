"""What FiftyOne knows of a video: its player needs the number of frames and their rate.

FiftyOne asks the program ffprobe, and where there is none it goes on without, silently.
"""

from __future__ import annotations

from typing import Any

import fiftyone as fo

from sam2_plugins.core.frames import FrameSource
from sam2_plugins.fiftyone_plugin.footage import Footage


def video_metadata(frames: FrameSource, fps: float | None = None) -> Any:
    """Return the metadata of an open video.

    Parameters
    ----------
    fps
        Frames per second, where they are to be other than the file says.
    """
    rate = fps or frames.fps or 1.0
    return fo.VideoMetadata(
        frame_width=frames.width,
        frame_height=frames.height,
        frame_rate=rate,
        total_frame_count=len(frames),
        duration=len(frames) / rate,
    )


def fill_metadata(video: Footage, frames: FrameSource) -> None:
    """Set the metadata of a video that has none."""
    if video.samples.select(video.sample_id).values("metadata") == [None]:
        video.write_samples("metadata", video_metadata(frames))
