"""Results to files: the core's formats, written frame by frame; prompts to replay and back."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sam2_plugins.core.export import FORMATS, check_ctc, formats, open_writers
from sam2_plugins.core.masks import ObjectId
from sam2_plugins.core.prompt_files import load_prompts, save_prompts
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.layers.frames import Line, View
from sam2_plugins.napari_plugin.layers.lineage import Lineage
from sam2_plugins.napari_plugin.layers.marks import Prompts
from sam2_plugins.napari_plugin.layers.mask_store import MaskStore
from sam2_plugins.napari_plugin.models.numbering import labels_of

KINDS = {one.name: one.title for one in formats().values() if one.name != "png"}
"""Formats of the core to what they are called; a contact sheet is a picture of a movie."""


@dataclass(frozen=True)
class Result:
    """What is exported: the objects along one line of frames."""

    store: MaskStore
    view: View
    line: Line
    names: Mapping[int, str]
    lineage: Lineage


def export(result: Result, kind: str, folder: Path) -> Generator[int, None, list[str]]:
    """Write one format into a folder, and yield frame by frame; return what was written, and notes.

    What is there under the format's name is replaced: the dock asks before.

    Raises
    ------
    ExportError
        If a file cannot be written.
    """
    # A video of a time-lapse is to be watched, not to last as long.
    with result.view.open(result.line, timed=kind != "mp4") as frames:
        parents: dict[ObjectId, ObjectId] = dict(result.lineage.mothers.items())
        writers = open_writers(
            folder, kind, frames, sorted(result.names), parents=parents, overwrite=True
        )
        with writers:
            for frame in range(frames.length or 0):
                time = float(frame) if frames.fps is None else frame / frames.fps
                masks = result.store.on_frame(result.line.index(frame))
                writers.write(frame, time, {o: m for o, m in masks.items() if o in result.names})
                yield frame
    notes = [f"Written: {path}" for path in writers.paths]
    notes += [f"Note: {note}" for note in writers.notes]
    if kind == "ctc":
        notes += [f"Note: {problem}" for problem in check_ctc(folder / FORMATS["ctc"])]
    return notes


def write_prompts(
    path: Path,
    answered: Mapping[tuple[int, int], Prompts],
    names: Mapping[int, str],
    lineage: Lineage,
    lives: Mapping[int, Life],
    facts: Mapping[str, Any],
) -> None:
    """Save prompts with names, lineage and lives, to be replayed here or by the command line."""
    about = {
        "names": {str(label): name for label, name in names.items()},
        "mothers": {str(d): m for d, m in lineage.mothers.items()},
    }
    prompts = [prompt for prompts in answered.values() for prompt in prompts]
    bounds: dict[ObjectId, tuple[int | None, int | None]] = {
        label: (life.first, life.last) for label, life in lives.items()
    }
    save_prompts(path, prompts, {**facts, **about}, bounds)


@dataclass(frozen=True)
class Loaded:
    """Prompts of a file that are not there yet, with labels for all its objects."""

    prompts: tuple[Prompt, ...]
    names: dict[int, str]
    mothers: dict[int, int]
    lives: dict[int, Life]


def read_prompts(
    path: Path, taken: Mapping[int, str], here: Mapping[tuple[int, int], Prompts] | None = None
) -> Loaded:
    """Load prompts; objects get labels that are not taken.

    Parameters
    ----------
    here
        Prompts that are there already, by frame and label. An object that shares one with an
        object of the file is that object.

    Raises
    ------
    PromptError
        If the file is damaged.
    """
    document = load_prompts(path)
    known = {_key(p): label for (_, label), prompts in (here or {}).items() for p in prompts}
    same = {p.obj: known[_key(p)] for p in document.prompts if _key(p) in known}
    objects = dict.fromkeys(p.obj for p in document.prompts)
    labels = {**labels_of((o for o in objects if o not in same), taken), **same}
    by_text = {str(obj): label for obj, label in labels.items()}
    about = document.source

    def relabelled(key: str) -> dict[int, Any]:
        pairs = about.get(key, {}).items()
        return {by_text[obj]: value for obj, value in pairs if obj in by_text}

    names = {label: str(obj) for obj, label in labels.items()}
    names = {n: f"object {n}" if text.isdecimal() else text for n, text in names.items()}
    bounds = {labels[obj]: Life(*life) for obj, life in document.lives.items() if obj in labels}
    ends = {label: Life(None, int(frame)) for label, frame in relabelled("ends").items()}
    return Loaded(
        tuple(replace(p, obj=labels[p.obj]) for p in document.prompts if _key(p) not in known),
        {**names, **{label: str(name) for label, name in relabelled("names").items()}},
        {
            daughter: by_text[str(mother)]
            for daughter, mother in relabelled("mothers").items()
            if str(mother) in by_text
        },
        {**ends, **bounds},
    )


def _key(prompt: Prompt) -> tuple[object, ...]:
    """What a prompt says, whichever object it is of; places to a thousandth of a pixel."""
    points, box = prompt.points, prompt.box
    clicks = points and (tuple((round(x, 3), round(y, 3)) for x, y in points.xy), points.labels)
    return prompt.frame, clicks, box and tuple(round(side, 3) for side in box), prompt.mask
