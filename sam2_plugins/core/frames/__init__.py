"""Frames of a movie, wherever it is: video, TIFF, folder of images, array or stream.

A source that cannot be read raises `FrameSourceError` with the reason and the remedy.
"""

from sam2_plugins.core.frames._content import kind_of
from sam2_plugins.core.frames._encoder import encode_video
from sam2_plugins.core.frames._file_names import natural_sorted
from sam2_plugins.core.frames._files import first_read, source_files
from sam2_plugins.core.frames._folder import list_images
from sam2_plugins.core.frames._foreign import refusal_of
from sam2_plugins.core.frames._gate import DAMAGE, MAX_PIXELS, media_url
from sam2_plugins.core.frames._image_files import read_image, read_pages
from sam2_plugins.core.frames._open import open_frames
from sam2_plugins.core.frames._probe import SourceInfo, probe
from sam2_plugins.core.frames._source import Frame, FrameSource, UnknownLengthError
from sam2_plugins.core.frames._zarr import is_zarr, label_names, read_zarr

__all__ = [
    "DAMAGE",
    "MAX_PIXELS",
    "Frame",
    "FrameSource",
    "SourceInfo",
    "UnknownLengthError",
    "encode_video",
    "first_read",
    "is_zarr",
    "kind_of",
    "label_names",
    "list_images",
    "media_url",
    "natural_sorted",
    "open_frames",
    "probe",
    "read_image",
    "read_pages",
    "read_zarr",
    "refusal_of",
    "source_files",
]
