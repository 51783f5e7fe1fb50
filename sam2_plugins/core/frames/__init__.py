"""Frames of a movie, wherever it is: video, TIFF, folder of images, array or stream."""

from __future__ import annotations

from sam2_plugins.core.frames._normalise import Normalisation
from sam2_plugins.core.frames._open import open_frames
from sam2_plugins.core.frames._probe import SourceInfo, probe
from sam2_plugins.core.frames._source import Frame, FrameSource, UnknownLengthError

__all__ = [
    "Frame",
    "FrameSource",
    "Normalisation",
    "SourceInfo",
    "UnknownLengthError",
    "open_frames",
    "probe",
]
