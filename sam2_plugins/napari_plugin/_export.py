"""Results to files: the core's formats, written frame by frame; prompts to replay and back."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sam2_plugins.core.export import FORMATS, check_ctc, open_writers
from sam2_plugins.core.masks import ObjectId
from sam2_plugins.core.prompt_files import load_prompts, save_prompts
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.napari_plugin._frames import Line, View
from sam2_plugins.napari_plugin._lineage import Lineage
from sam2_plugins.napari_plugin._session import Said, labels_of
from sam2_plugins.napari_plugin._store import MaskStore

KINDS = {
    "tiff": "Label images (TIFF)",
    "ctc": "Cell Tracking Challenge folder",
    "csv": "Table of masks (CSV)",
    "coco": "COCO annotations (JSON)",
    "mp4": "Overlay video (MP4)",
}
"""Formats of the core to what they are called."""


@dataclass(frozen=True)
class Result:
    """What is exported: the objects along one line of frames."""

    store: MaskStore
    view: View
    line: Line
    names: Mapping[int, str]
    lineage: Lineage


def export(result: Result, kind: str, folder: Path) -> Generator[int, None, list[str]]:
    """Write one format into a folder, and yield frame by frame; return what is to be told.

    Raises
    ------
    ExportError
        If a file cannot be written.
    """
    with result.view.open(result.line) as frames:
        parents: dict[ObjectId, ObjectId] = dict(result.lineage.mothers.items())
        writers = open_writers(folder, kind, frames, sorted(result.names), parents=parents)
        with writers:
            for frame in range(frames.length or 0):
                time = float(frame) if frames.fps is None else frame / frames.fps
                masks = result.store.on_frame(result.line.index(frame))
                writers.write(frame, time, {o: m for o, m in masks.items() if o in result.names})
                yield frame
    told = [f"Written: {path}" for path in writers.paths]
    if kind == "ctc":
        told += [f"Note: {problem}" for problem in check_ctc(folder / FORMATS["ctc"])]
    return told


def save_said(
    path: Path,
    said: Mapping[tuple[int, int], Said],
    names: Mapping[int, str],
    lineage: Lineage,
    ends: Mapping[int, int],
    facts: Mapping[str, Any],
) -> None:
    """Save prompts with names and lineage, to be replayed here or by the command line."""
    about = {
        "names": {str(label): name for label, name in names.items()},
        "mothers": {str(d): m for d, m in lineage.mothers.items()},
        "ends": {str(label): frame for label, frame in ends.items()},
    }
    prompts = [prompt for prompts in said.values() for prompt in prompts]
    save_prompts(path, prompts, {**facts, **about})


@dataclass(frozen=True)
class Loaded:
    """Prompts of a file, with labels for its objects."""

    prompts: tuple[Prompt, ...]
    names: dict[int, str]
    mothers: dict[int, int]
    ends: dict[int, int]


def load_said(path: Path, taken: Mapping[int, str]) -> Loaded:
    """Load prompts; objects get labels that are not taken.

    Raises
    ------
    PromptError
        If the file is damaged.
    """
    document = load_prompts(path)
    labels = labels_of(dict.fromkeys(p.obj for p in document.prompts), taken)
    by_text = {str(obj): label for obj, label in labels.items()}
    about = document.source

    def relabelled(key: str) -> dict[int, Any]:
        pairs = about.get(key, {}).items()
        return {by_text[obj]: value for obj, value in pairs if obj in by_text}

    names = {label: str(obj) for obj, label in labels.items()}
    names = {n: f"object {n}" if text.isdecimal() else text for n, text in names.items()}
    return Loaded(
        tuple(replace(prompt, obj=labels[prompt.obj]) for prompt in document.prompts),
        {**names, **{label: str(name) for label, name in relabelled("names").items()}},
        {
            daughter: by_text[str(mother)]
            for daughter, mother in relabelled("mothers").items()
            if str(mother) in by_text
        },
        {label: int(frame) for label, frame in relabelled("ends").items()},
    )
