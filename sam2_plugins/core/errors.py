"""One exception tree. Every message names the thing that is wrong and the mend."""

from __future__ import annotations

import errno
import re


class Sam2PluginsError(Exception):
    """Base of every error that this package raises on purpose: its text is for a person."""


class ModelError(Sam2PluginsError):
    """A model, its weights, its size or its processor: not known, not to be had, not fit."""


class FrameSourceError(Sam2PluginsError):
    """A movie, stack or folder that cannot be read as frames."""


class PromptError(Sam2PluginsError):
    """A prompt that does not fit its frame or its object."""


class TrackingError(Sam2PluginsError):
    """A propagation that cannot start or go on."""


class TrainingError(Sam2PluginsError):
    """A training that cannot start or go on, or annotations that cannot be learned from."""


class ExportError(Sam2PluginsError):
    """Results that cannot be written in the wanted format."""


UnknownVariantError = ImageSizeError = CheckpointError = DownloadError = DeviceError = ModelError
FineTuningError = TrainingError
"""Names of earlier versions."""


def message_of(error: BaseException) -> str:
    """Return what a person can do something with: never a bare exception of a library."""
    foreseen = _foreseen(error)
    if foreseen is not None:
        return foreseen
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def excerpt(text: str) -> str:
    """Cut a text, of a value in a message, that is too long to be read."""
    return text if len(text) <= 60 else f"{text[:57]}…"


def is_foreseen(error: BaseException) -> bool:
    """Whether `message_of` says it all, so that nobody needs the details."""
    return _foreseen(error) is not None


def _foreseen(error: BaseException) -> str | None:
    if isinstance(error, Sam2PluginsError):
        return str(error)
    if _is_out_of_memory(error):
        return (
            "There is not enough memory. Close other programs, or take a smaller model, a smaller "
            "--image-size, fewer objects at once, or another device."
        )
    if type(error).__name__ == "DecompressionBombError":
        return f"A picture claims to be larger than any that is read: {error}"
    if isinstance(error, ModuleNotFoundError) and error.name in _EXTRAS:
        return f"{error.name} is not installed: pip install 'sam2-plugins[{_EXTRAS[error.name]}]'."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" of {error.filename}" if error.filename else ""
        return f"The disk{where} is full. Make room there, and give the same command again."
    if isinstance(error, FileNotFoundError) and error.filename is None:  # of os.getcwd()
        return "The folder in which this was started is gone. Change to another one."
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}. Check the path, and what you may do there."
    return None


_EXTRAS = {
    **dict.fromkeys(("anyio", "httpx", "starlette", "uvicorn"), "labelstudio"),
    **dict.fromkeys(("dask", "distributed"), "dask"),
    **dict.fromkeys(("napari", "qtpy", "superqt"), "napari"),
    "fiftyone": "fiftyone",
    "matplotlib": "train",
}
"""Packages that are not there unless an extra was installed."""


_OUT_OF_MEMORY = re.compile(
    r"out of memory|can't allocate memory|not enough memory|Unable to allocate|ALLOC_FAILED"
    r"|could not create a (primitive|memory)",  # of oneDNN, which says no more
    re.I,
)


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether it is memory that lacks; torch says so in an error of its own or a plain one."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and bool(_OUT_OF_MEMORY.search(str(error)))
    )
