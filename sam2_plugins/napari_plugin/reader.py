"""File › Open: videos as layers, of which a frame is decoded when it is shown; saved projects."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.frames import FrameSource, open_frames
from sam2_plugins.napari_plugin.models.project_file import read_facts
from sam2_plugins.napari_plugin.models.project_places import fits


class VideoFrames:
    """A video as an array (T, Y, X, 3) of uint8 that decodes on slicing."""

    def __init__(self, frames: FrameSource) -> None:
        assert frames.length is not None
        self._frames = frames
        self.shape = (frames.length, frames.height, frames.width, 3)
        self.ndim = 4
        self.dtype = np.dtype(np.uint8)
        self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return self.shape[0]

    def __deepcopy__(self, memo: Any) -> VideoFrames:
        """Return itself, which nobody changes: napari duplicates the layer."""
        return self

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            first, rest = slice(None), [Ellipsis, *rest]
        if isinstance(first, slice):
            chosen = [self._frames[i].image for i in range(*first.indices(len(self)))]
            frames = np.stack(chosen) if chosen else np.zeros((0, *self.shape[1:]), self.dtype)
            return frames[(slice(None), *rest)]
        return np.asarray(self._frames[int(first) % len(self)].image)[tuple(rest)]


def video_reader(path: str | list[str]) -> Callable[[str], list[Any]] | None:
    """Return a reader if the path is one file."""
    return read_video if isinstance(path, str) else None


def read_video(path: str) -> list[tuple[Any, dict[str, Any], str]]:
    """Read a video as an RGB image layer."""
    frames = open_frames(path)
    return [(VideoFrames(frames), {"name": Path(path).stem, "rgb": True}, "image")]


def project_reader(path: str | list[str]) -> Callable[[str], list[Any]] | None:
    """Return a reader if the path is one file."""
    return open_project if isinstance(path, str) else None


def open_project(path: str) -> list[Any]:
    """Restore saved work with its image in the dock.

    Raises
    ------
    Sam2PluginsError
        If it is no project, or its image is neither open nor where it was.
    """
    import napari

    viewer = napari.current_viewer()
    if viewer is None:
        raise Sam2PluginsError("A project is opened in napari's window: there is none.")
    image = _image_of(viewer, Path(path))
    _, dock = viewer.window.add_plugin_dock_widget("sam2-plugins", "SAM 2")
    dock.show_project(image, Path(path))
    return [(None,)]  # nothing more for napari to add


def _image_of(viewer: Any, project: Path) -> Any:
    """Find the image of a project among the layers, or open it."""
    from napari.layers import Image

    facts = read_facts(project)

    def found() -> Any:
        layers = [x for x in viewer.layers if isinstance(x, Image) and fits(project, x)]
        return layers[0] if layers else None

    image = found()
    if image is None and facts.path:
        # A movie that was moved together with its project is beside it.
        for path in (Path(facts.path), project.parent / Path(facts.path).name):
            if path.exists():
                viewer.open(str(path))
                image = found()
                break
    if image is None:
        where = f" at {facts.path}" if facts.path else ""
        raise Sam2PluginsError(
            f"{project.name} is of the image {facts.name} with shape {facts.shape}, which is "
            f"neither open nor{where or ' in a file'}: open it, then the project again."
        )
    return image
