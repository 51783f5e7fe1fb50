"""Prompts in a JSON file, to replay them in any host.

The layout, version 1::

    {
      "format": "sam2_plugins prompts",
      "version": 1,
      "source": {"name": "movie.mp4", "frames": 200, "height": 540, "width": 960},
      "prompts": [
        {"frame": 0, "obj": "cell 1", "points": [[120, 80], [90, 40]], "labels": [1, 0]},
        {"frame": 0, "obj": 2, "box": [200, 40, 260, 90]},
        {"frame": 30, "obj": 2, "mask": {"size": [540, 960], "counts": "…"}}
      ],
      "lives": [{"obj": 2, "first": 0, "last": 120}],
      "settled": true
    }

`source` is free: whatever tells a person which movie it was. A prompt has `points` with `labels`,
`box`, `mask`, or several of them, with the meaning of `core.prompts`; a mask is a COCO compressed
RLE. `obj` is a number or a text, and 1 is not "1". A reader refuses keys that it does not know.
`lives` may be missing: it names objects that are born or end in the movie, by their first and last
frame, of which either may be null. `settled`: what masks leave out because of clicks on other
objects is among the points, and nothing more is left out when the prompts are given again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sam2_plugins.core.errors import PromptError, excerpt
from sam2_plugins.core.files import write_text
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.prompts import Prompt

if TYPE_CHECKING:
    from sam2_plugins.core.frames import FrameSource

FORMAT = "sam2_plugins prompts"
VERSION = 1
_DOCUMENT_KEYS = {"format", "version", "source", "prompts", "lives", "settled"}
_KEYS = {"frame", "obj", "points", "labels", "box", "mask"}
_FORMS = {
    "points": "a list of pairs [[x, y], …]",
    "labels": "a list of numbers, 0 or 1",
    "box": "a list of numbers [x0, y0, x1, y1]",
}


@dataclass(frozen=True)
class PromptFile:
    """Prompts, and what is known of the movie they were made on."""

    prompts: tuple[Prompt, ...]
    source: Mapping[str, Any] = field(default_factory=dict)
    lives: Mapping[ObjectId, tuple[int | None, int | None]] = field(default_factory=dict)

    @property
    def mothers(self) -> dict[ObjectId, ObjectId]:
        """Daughters and their mothers, which napari saves among the facts."""
        objects = self._objects
        mothers = self._of_objects("mothers").items()
        return {d: objects[str(mother)] for d, mother in mothers if str(mother) in objects}

    @property
    def names(self) -> dict[ObjectId, str]:
        """What a person called the objects, which napari saves among the facts."""
        return {obj: str(name) for obj, name in self._of_objects("names").items()}

    @property
    def _objects(self) -> dict[str, ObjectId]:
        return {str(prompt.obj): prompt.obj for prompt in self.prompts}

    def _of_objects(self, fact: str) -> dict[ObjectId, Any]:
        objects, known = self._objects, self.source.get(fact)
        pairs = known.items() if isinstance(known, dict) else ()
        return {objects[obj]: value for obj, value in pairs if obj in objects}


def facts_of(movie: FrameSource) -> dict[str, Any]:
    """Return the facts of a movie that a prompts file holds."""
    size = {"height": movie.height, "width": movie.width}
    return {"name": movie.name, "frames": movie.length, **size}


def refuse_other_movie(source: Mapping[str, Any], movie: FrameSource) -> None:
    """Check that prompts were made on this movie, by the facts that their file holds.

    Arrays, streams and lists of images have no name of their own, so theirs is not compared; of
    other names, neither the folder nor the suffix.

    Raises
    ------
    PromptError
        If the size of the frames, their number, or the movie's name is another one.
    """
    facts = facts_of(movie)
    differs = [
        f"{key} {source[key]} and not {facts[key]}"
        for key in ("height", "width", "frames")
        if facts[key] is not None and type(source.get(key)) is int and source[key] != facts[key]
    ]
    theirs, ours = _own_name(str(source.get("name") or "")), _own_name(movie.name)
    if theirs and ours and theirs.casefold() != ours.casefold():
        differs.append(f"the name {source['name']}")
    if differs:
        raise PromptError(
            f"The prompts were made on another movie than {movie.name}: with "
            f"{', '.join(differs)}. Give the prompts of this movie, or --force to use them all the "
            "same."
        )


_NAMELESS = re.compile(r"-|\d+ (frames|images)|stream of \w+|\w+ \(\d[\d, ]*\)")


def _own_name(name: str) -> str:
    """Return the name that a person gave to a movie; "" if nobody did."""
    if _NAMELESS.fullmatch(name):
        return ""
    return PurePath(urlsplit(name).path if "://" in name else name.replace("\\", "/")).stem


def save_prompts(
    path: str | Path,
    prompts: Iterable[Prompt],
    source: Mapping[str, Any] | None = None,
    lives: Mapping[ObjectId, tuple[int | None, int | None]] | None = None,
) -> None:
    """Save prompts as JSON, whole or not at all.

    Parameters
    ----------
    source
        Facts of the movie that JSON can hold: name, frames, height, width, …
    lives
        First and last frame of objects that are born or end in the movie.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    # One prompt a line: such files are read, compared and mended by people.
    prompts = list(prompts)
    entries = [json.dumps(prompt_to_json(p), ensure_ascii=False, allow_nan=False) for p in prompts]
    facts = json.dumps(dict(source or {}), ensure_ascii=False, allow_nan=False)
    listing = ",\n    ".join(entries)
    bounds = [
        {"obj": o, "first": first, "last": last} for o, (first, last) in (lives or {}).items()
    ]
    births = f',\n  "lives": {json.dumps(bounds, ensure_ascii=False)}' if bounds else ""
    is_settled = prompts and all(p.beside is not None for p in prompts)
    settled = ',\n  "settled": true' if is_settled else ""
    write_text(
        Path(path),
        f'{{\n  "format": "{FORMAT}",\n  "version": {VERSION},\n  "source": {facts},\n'
        f'  "prompts": [\n    {listing}\n  ]{births}{settled}\n}}\n',
    )


def load_prompts(path: str | Path) -> PromptFile:
    """Load what `save_prompts` saved.

    Raises
    ------
    PromptError
        If the file cannot be read or is damaged: the message names the line or the key.
    """
    try:
        document = parse_json(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise PromptError(f"{path} cannot be read: {error.strerror or error}.") from error
    except json.JSONDecodeError as error:
        raise PromptError(
            f"{path}, line {error.lineno}, column {error.colno}: {error.msg}. This is no JSON; "
            "restore the file or save the prompts again."
        ) from error
    except UnicodeDecodeError as error:
        raise PromptError(f"{path} is no text in UTF-8: save the prompts again.") from error
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits; nested brackets
        raise PromptError(f"{path} is no file of prompts: {error}. Save them again.") from error
    try:
        return _document(document)
    except PromptError as error:
        raise PromptError(f"{path}: {error}") from error


def parse_json(text: str) -> Any:
    """Parse JSON in which no key stands twice: of two values, nobody knows which is meant.

    Raises
    ------
    ValueError
        If it is no JSON, or a key stands twice.
    """
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f'the key "{twice}" stands twice')
    return values


def _document(document: Any) -> PromptFile:
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise PromptError(f'"format" is not "{FORMAT}": this is not a file of prompts.')
    version = document.get("version")
    if type(version) is not int or version != VERSION:
        raise PromptError(
            f'"version" is {excerpt(repr(version))}, and this program reads {VERSION}: update '
            "sam2_plugins."
        )
    if unknown := document.keys() - _DOCUMENT_KEYS:
        raise PromptError(f'the unknown key "{min(unknown)}" stands beside "prompts".')
    source = document.get("source", {})
    if not isinstance(source, dict):
        raise PromptError('"source" is not an object of facts.')
    lives = _lives(document.get("lives", []))
    prompts = prompts_from_json(document.get("prompts"))
    settled = document.get("settled", False)
    if not isinstance(settled, bool):
        raise PromptError(f'"settled" is {excerpt(repr(settled))}: it is true or false.')
    if settled:
        prompts = tuple(replace(prompt, beside=()) for prompt in prompts)
    return PromptFile(prompts, source, lives)


def _lives(entries: Any) -> dict[ObjectId, tuple[int | None, int | None]]:
    lives: dict[ObjectId, tuple[int | None, int | None]] = {}
    for i, entry in enumerate(entries if isinstance(entries, list) else [None]):
        known = isinstance(entry, dict) and entry.keys() == {"obj", "first", "last"}
        if (
            not known
            or type(entry["obj"]) not in (int, str)
            or not all(
                entry[k] is None or (type(entry[k]) is int and entry[k] >= 0)
                for k in ("first", "last")
            )
            or (None not in entry.values() and entry["first"] > entry["last"])
        ):
            raise PromptError(f'lives[{i}] is not {{"obj": …, "first": frame, "last": frame}}.')
        lives[entry["obj"]] = (entry["first"], entry["last"])
    return lives


def prompts_from_json(entries: Any) -> tuple[Prompt, ...]:
    """Read the list of prompts of such a file.

    Raises
    ------
    PromptError
        If it is damaged: the message names the entry and the key.
    """
    if not isinstance(entries, list):
        raise PromptError('"prompts" is missing or is not a list.')
    return tuple(_read(entry, i) for i, entry in enumerate(entries))


def prompt_to_json(prompt: Prompt) -> dict[str, Any]:
    """Make one entry of the list of prompts: numbers, texts and lists only."""
    entry: dict[str, Any] = {"frame": prompt.frame, "obj": prompt.obj}
    if (points := prompt.all_points) is not None:
        entry |= {"points": points.xy, "labels": points.labels}
    if prompt.box is not None:
        entry["box"] = tuple(prompt.box)
    if prompt.mask is not None:
        entry["mask"] = prompt.mask.to_rle()
    return entry


def _read(entry: Any, index: int) -> Prompt:
    where = f"prompts[{index}]"
    if not isinstance(entry, dict):
        raise PromptError(f"{where} is not an object.")
    for key in ("frame", "obj"):
        if key not in entry:
            raise PromptError(f'{where} has no "{key}".')
    for key in entry:
        if key not in _KEYS:
            raise PromptError(f'{where} has the unknown key "{key}".')
    if ("points" in entry) != ("labels" in entry):
        raise PromptError(f'{where} has "points" without "labels", or the reverse.')
    values = dict(entry)
    for key, depth in (("points", 2), ("labels", 1), ("box", 1)):
        if entry.get(key) is not None and not _are_numbers(entry[key], depth):
            raise PromptError(
                f'{where}, "{key}": {excerpt(repr(entry[key]))} is not {_FORMS[key]}.'
            )
    try:
        if entry.get("mask") is not None:
            values["mask"] = ObjectMask.from_rle(entry["mask"])
        return Prompt.of(**values)
    except PromptError as error:
        raise PromptError(f"{where}: {error}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise PromptError(f'{where}, "mask": {error}') from error


def _are_numbers(value: Any, depth: int) -> bool:
    """Return whether a value is a list of numbers, or of lists of them."""
    if depth:
        return isinstance(value, list) and all(_are_numbers(one, depth - 1) for one in value)
    return type(value) in (int, float)
