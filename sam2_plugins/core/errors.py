"""One exception tree. Every message names the thing that is wrong and the mend."""

from __future__ import annotations


class Sam2PluginsError(Exception):
    """Base of every error that this package raises on purpose: its text is for a person."""


class UnknownVariantError(Sam2PluginsError):
    """A model name that is not in the list of variants."""


class ImageSizeError(Sam2PluginsError):
    """A side of the model's input that the network cannot take."""


class CheckpointError(Sam2PluginsError):
    """Weights that cannot be found, downloaded, verified or loaded."""


class DownloadError(CheckpointError):
    """Weights that could not be fetched."""


class DeviceError(Sam2PluginsError):
    """A processor that this machine, or this build of torch, does not have."""


class FrameSourceError(Sam2PluginsError):
    """A movie, stack or folder that cannot be read as frames."""


class PromptError(Sam2PluginsError):
    """A prompt that does not fit its frame or its object."""


class TrackingError(Sam2PluginsError):
    """A propagation that cannot start or go on."""


class TrainingError(Sam2PluginsError):
    """A training that cannot start or go on."""


class FineTuningError(Sam2PluginsError):
    """Annotations that cannot be learned from, or a fine-tuning that cannot start or go on."""


class ExportError(Sam2PluginsError):
    """Results that cannot be written in the wanted format."""


def told(error: Exception) -> str:
    """Say what went wrong; what nobody foresaw is named by its type, too."""
    return str(error) if isinstance(error, Sam2PluginsError) else f"{type(error).__name__}: {error}"
