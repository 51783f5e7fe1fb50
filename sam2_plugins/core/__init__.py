"""The core: from a prompt to tracked masks, without any host.

The public names load their modules when they are first used, so that looking at a mask or a list of
models costs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sam2_plugins.core.checkpoints import download, list_models, load_model
    from sam2_plugins.core.errors import Sam2PluginsError
    from sam2_plugins.core.export import open_writers
    from sam2_plugins.core.frames import FrameSource, open_frames
    from sam2_plugins.core.masks import Masklet, ObjectMask
    from sam2_plugins.core.prompts import Prompt
    from sam2_plugins.core.tracking.image_segmenter import ImageSegmenter
    from sam2_plugins.core.tracking.tracker import FrameResult, VideoTracker

_HOMES = {
    "FrameResult": "tracking.tracker",
    "FrameSource": "frames",
    "ImageSegmenter": "tracking.image_segmenter",
    "Masklet": "masks",
    "ObjectMask": "masks",
    "Prompt": "prompts",
    "Sam2PluginsError": "errors",
    "VideoTracker": "tracking.tracker",
    "download": "checkpoints",
    "list_models": "checkpoints",
    "load_model": "checkpoints",
    "open_frames": "frames",
    "open_writers": "export",
}

__all__ = [
    "FrameResult",
    "FrameSource",
    "ImageSegmenter",
    "Masklet",
    "ObjectMask",
    "Prompt",
    "Sam2PluginsError",
    "VideoTracker",
    "download",
    "list_models",
    "load_model",
    "open_frames",
    "open_writers",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
