"""A movie as a stack of pictures, on whose pages Label Studio draws masks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from sam2_plugins.core import files
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.frames import FrameSource
from sam2_plugins.labelstudio_backend.projects import stack_config

TASKS_FILE, CONFIG_FILE = "tasks.json", "labelling_config.xml"


def write_stack(
    frames: FrameSource,
    folder: Path,
    *,
    url: str,
    labels: list[str],
    every: int = 1,
    pages: int = 0,
) -> Iterator[int]:
    """Write every n-th frame as PNG, then the tasks; yields the number of pictures so far.

    Parameters
    ----------
    url
        Of the folder, as Label Studio's users reach it.
    every
        1: all frames.
    pages
        Most pictures of one task; 0: one task for all.

    Raises
    ------
    ExportError
        If the folder is not empty, or cannot be written.
    """
    files.require_empty(folder)
    names = []
    for index in range(0, len(frames), every):
        names.append(f"{index:06d}.png")
        with files.replacing(folder / names[-1]) as fresh:
            Image.fromarray(frames[index].image).save(fresh)
        yield len(names)
    size = pages or len(names)
    parts = [names[first : first + size] for first in range(0, len(names), size)]
    tasks = []
    for part in parts:
        shown = [f"{url.rstrip('/')}/{file}" for file in part]
        about = {"source": frames.name, "first_frame": int(Path(part[0]).stem), "every": every}
        tasks.append({"data": {"frames": shown, **about}})
    files.write_text(folder / TASKS_FILE, json.dumps(tasks, indent=1))
    files.write_text(folder / CONFIG_FILE, stack_config(labels))


def local_files_url(folder: Path, root: Path) -> str:
    """Return how Label Studio names a folder below its document root.

    Raises
    ------
    ExportError
        If it is not below it.
    """
    folder, root = folder.resolve(), root.resolve()
    if not folder.is_relative_to(root) or folder == root:
        raise ExportError(
            f"{folder} is not below {root}, which Label Studio serves local files from."
        )
    return f"/data/local-files/?d={quote(folder.relative_to(root).as_posix())}"
