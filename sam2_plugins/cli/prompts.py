"""Prompts from the command line: `--click x,y[,frame][,object]` and its like."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import typer

from sam2_plugins.core.datasets import load_label_stack
from sam2_plugins.core.masks import ObjectId, ObjectMask, split_label_image
from sam2_plugins.core.prompt_files import load_prompts
from sam2_plugins.core.prompts import Prompt

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")


@dataclass
class _Given:
    """Clicks and a box that were given for one object on one frame."""

    points: list[tuple[float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    box: tuple[float, ...] | None = None


def collect_prompts(
    clicks: Sequence[str],
    background: Sequence[str],
    boxes: Sequence[str],
    masks: Sequence[str],
    files: Sequence[Path],
) -> list[Prompt]:
    """Read all prompts of a command: those of files first, then masks, clicks and boxes.

    A click or box that names no object makes a new one, with the lowest free number.

    Raises
    ------
    typer.BadParameter
        If a value is not of its form, or an object has two boxes or masks on one frame.
    PromptError, FrameSourceError
        If a file cannot be read.
    """
    prompts = [prompt for file in files for prompt in load_prompts(file).prompts]
    pictures = [picture for text in masks for picture in _masks(text)]
    parsed = [
        *(("click", *_parse(text, 2, "--click x,y[,frame][,object]")) for text in clicks),
        *(("box", *_parse(text, 4, "--box x0,y0,x1,y1[,frame][,object]")) for text in boxes),
        *(("not", *_parse(text, 2, "--not x,y,frame,object")) for text in background),
    ]
    for kind, _, _, obj in parsed:
        if kind == "not" and obj is None:
            raise typer.BadParameter("--not x,y,frame,object needs the object that is not there.")
    named = [*(prompt.obj for prompt in prompts), *(obj for *_, obj in [*pictures, *parsed])]
    free = (number for number in count(1) if number not in named)
    prompts += [Prompt.of(f, next(free) if obj is None else obj, mask=m) for m, f, obj in pictures]
    masked = Counter((frame, obj) for _, frame, obj in pictures if obj is not None)
    _refuse_two("masks", [place for place, times in masked.items() if times > 1])
    together: dict[tuple[int, ObjectId], _Given] = {}
    for kind, numbers, frame, obj in parsed:
        obj = next(free) if obj is None else obj
        one = together.setdefault((frame, obj), _Given())
        if kind == "box":
            _refuse_two("boxes", [(frame, obj)] if one.box else [])
            one.box = numbers
        else:
            one.points.append((numbers[0], numbers[1]))
            one.labels.append(1 if kind == "click" else 0)
    for (frame, obj), one in together.items():
        prompts.append(Prompt.of(frame, obj, one.points or None, one.labels or None, one.box))
    return prompts


def summarise_prompts(prompts: Iterable[Prompt]) -> str:
    """Summarise how an object was prompted, such as "2 clicks @ 0, box @ 7"."""
    words = []
    for prompt in prompts:
        parts = []
        if prompt.mask is not None:
            parts.append("mask")
        if prompt.box is not None:
            parts.append("box")
        if prompt.points is not None:
            clicks = len(prompt.points.xy)
            parts.append("click" if clicks == 1 else f"{clicks} clicks")
        words.append(f"{' + '.join(parts)} @ {prompt.frame}")
    return ", ".join(words)


def _refuse_two(what: str, places: Sequence[tuple[int, ObjectId | None]]) -> None:
    for frame, obj in places:
        raise typer.BadParameter(
            f"object {obj} has two {what} on frame {frame}: give one, or name the objects apart."
        )


def _masks(text: str) -> list[tuple[ObjectMask, int, ObjectId | None]]:
    """Every label of a label image is an object; white on black is one without a number."""
    path, frame = Path(text), 0
    name, comma, last = text.rpartition(",")
    if comma and last.strip().isdecimal() and not path.exists():
        path, frame = Path(name), int(last)
    stack = load_label_stack(path)
    if len(stack) != 1:
        raise typer.BadParameter(f"{path} has {len(stack)} frames: --mask is one label image.")
    found = split_label_image(stack[0])
    if not found:
        raise typer.BadParameter(f"{path} has no object: a mask is 0 where there is none.")
    white = set(found) == {255}
    return [(mask, frame, None if white else label) for label, mask in found.items()]


def _parse(text: str, n: int, form: str) -> tuple[tuple[float, ...], int, ObjectId | None]:
    """Read n numbers, and perhaps a frame, and perhaps an object."""
    parts = [part.strip() for part in text.split(",")]
    wrong = typer.BadParameter(f"'{text}' is not of the form {form}.")
    if not n <= len(parts) <= n + 2 or not all(parts):
        raise wrong
    rest = parts[n:]
    try:
        numbers = tuple(float(part) for part in parts[:n])
        frame = int(rest.pop(0)) if rest and rest[0].isdecimal() else 0
    except ValueError as error:  # of a frame, too: Python reads no number of thousands of digits
        raise wrong from error
    if len(rest) > 1:
        raise wrong
    if len(parts) == n + 1 and rest and _NUMBER.fullmatch(rest[0]):
        raise typer.BadParameter(
            f"'{text}': {rest[0]} is no frame, for they count from 0. If it is the name of an "
            "object, give the frame before it."
        )
    if not rest:
        return numbers, frame, None
    is_whole = rest[0].removeprefix("-").isdecimal()
    return numbers, frame, int(rest[0]) if is_whole else rest[0]
