"""Results to files: the core's formats, written frame by frame; prompts to replay and back."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sam2_plugins.core.errors import ExportError, PromptError
from sam2_plugins.core.export import FORMATS, check_ctc, formats, open_writers
from sam2_plugins.core.frames import first_read
from sam2_plugins.core.masks import ObjectId
from sam2_plugins.core.prompt_files import load_prompts, save_prompts
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.layers.frames import Line, View
from sam2_plugins.napari_plugin.layers.mask_store import labels_of
from sam2_plugins.napari_plugin.models.project_places import source_of
from sam2_plugins.napari_plugin.models.work import Work

KINDS = {one.name: one.title for one in formats().values() if one.name != "png"}
"""Formats of the core, and their names; a contact sheet is a picture of a movie."""


def export(
    work: Work, view: View, line: Line, kind: str, folder: Path
) -> Generator[int, None, list[str]]:
    """Write the objects along a line, and yield frame by frame; return what was written, and notes.

    Existing files of the format are replaced: the dock asks for confirmation before.

    Raises
    ------
    ExportError
        If a file cannot be written, or would take the place of the movie or of one of its frames.
    """
    sources = [one for layer in view.layers if (one := source_of(layer)) is not None]
    for movie in sources:
        if file := first_read(movie, [folder / FORMATS[kind]]):
            raise ExportError(
                f"{file} would take the place of the movie {movie}, or be taken for one of its "
                "frames. Choose another folder."
            )
    objects = sorted(work.names)
    parents: dict[ObjectId, ObjectId] = dict(work.lineage.mothers.items())
    # A video of a time-lapse is to be watched, not to last as long.
    with view.open(line, timed=kind != "mp4") as frames:
        names: dict[ObjectId, str] = dict(work.given_names().items())
        writers = open_writers(
            folder, kind, frames, objects, parents=parents, names=names, overwrite=True
        )
        with writers:
            for frame in range(frames.length or 0):
                time = float(frame) if frames.fps is None else frame / frames.fps
                masks = work.store.on_frame(line.index(frame))
                writers.write(frame, time, {o: m for o, m in masks.items() if o in objects})
                yield frame
    notes = [f"Written: {path}" for path in writers.paths]
    notes += [f"Note: {note}" for note in writers.notes]
    if elsewhere := work.elsewhere(line):
        notes.append(f"Note: {elsewhere}")
    if kind == "ctc":
        notes += [f"Note: {problem}" for problem in check_ctc(folder / FORMATS["ctc"])]
    return notes


def write_prompts(path: Path, work: Work, line: Line, facts: Mapping[str, Any]) -> None:
    """Save prompts with names, lineage and lives, to be replayed here or by the command line."""
    about = {
        "names": {str(label): name for label, name in work.names.items()},
        "mothers": {str(d): m for d, m in work.lineage.mothers.items()},
    }
    answered = work.session.prompts.along(line)
    prompts = [prompt for prompts in answered.values() for prompt in prompts]
    bounds: dict[ObjectId, tuple[int | None, int | None]] = {
        label: (life.first, life.last) for label, life in work.session.lives_along(line).items()
    }
    save_prompts(path, prompts, {**facts, **about}, bounds)


@dataclass(frozen=True)
class Loaded:
    """Prompts of a file that are not there yet, with labels for all its objects."""

    prompts: tuple[Prompt, ...]
    names: dict[int, str]
    mothers: dict[int, int]
    lives: dict[int, Life]


def read_prompts(path: Path, work: Work, line: Line) -> Loaded:
    """Load prompts; objects get labels that are not taken.

    An object of the file that shares a prompt with one that is there along the line is that object:
    of several with the very same prompt, the one of its name.

    Raises
    ------
    PromptError
        If the file is damaged, or of a movie of another size.
    """
    document = load_prompts(path)
    theirs, size = [document.source.get(key) for key in ("height", "width")], work.store.frame_size
    if None not in theirs and theirs != list(size):
        raise PromptError(
            f"{path} has prompts of another movie: its frames are {theirs[1]}×{theirs[0]} pixels, "
            f"and these {size[1]}×{size[0]}. Choose the prompts of this movie."
        )
    known = {(_key(p), o) for (_, o), prompts in work.prompts(line).items() for p in prompts}
    objects = dict.fromkeys(p.obj for p in document.prompts)
    named = document.names
    shared = [(p.obj, o) for p in document.prompts for key, o in known if key == _key(p)]
    same: dict[ObjectId, int] = {}
    for obj, label in sorted(
        shared, key=lambda pair: named.get(pair[0]) != work.names.get(pair[1])
    ):
        if obj not in same and label not in same.values():
            same[obj] = label
    labels = {**labels_of((o for o in objects if o not in same), work.names), **same}
    names = {label: str(obj) for obj, label in labels.items()}
    names = {n: f"object {n}" if text.isdecimal() else text for n, text in names.items()}
    bounds = {labels[obj]: Life(*life) for obj, life in document.lives.items() if obj in labels}
    by_text, known_ends = {str(o): n for o, n in labels.items()}, document.source.get("ends", {})
    ends = {by_text[o]: Life(None, int(f)) for o, f in known_ends.items() if o in by_text}
    return Loaded(
        tuple(
            replace(p, obj=labels[p.obj])
            for p in document.prompts
            if (_key(p), labels[p.obj]) not in known
        ),
        {**names, **{labels[obj]: name for obj, name in named.items()}},
        {labels[daughter]: labels[mother] for daughter, mother in document.mothers.items()},
        {**ends, **bounds},
    )


def _key(prompt: Prompt) -> tuple[object, ...]:
    """Return a key of a prompt without its object; places to a thousandth of a pixel."""
    points, box = prompt.points, prompt.box
    clicks = points and (tuple((round(x, 3), round(y, 3)) for x, y in points.xy), points.labels)
    return prompt.frame, clicks, box and tuple(round(side, 3) for side in box), prompt.mask
