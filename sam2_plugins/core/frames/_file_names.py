"""Times, channels, planes and series in the names of a folder's images."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sam2_plugins.core.errors import FrameSourceError

_Item = TypeVar("_Item", str, Path)

_MOST_FORMS = 4
_MOST_CHANNELS = 8  # a part of the name with more values is no channel
_DATE = re.compile(r"(?<!\d)(19|20)\d\d(?!\d)|(?<!\d)(19|20)\d{6}(?!\d)")
_CLOCK = re.compile(r"(?:\d+(?:y|m|d|h|min|s)){2,}")  # 01d12h30m, as Incucyte writes
_WELL = re.compile(r"[A-P]\d\d?")
_SEPARATORS = re.compile(r"(?:[\s_,;()\[\]=+-]|(?<!\d)\.|\.(?!\d))+")  # no decimal point
_DASH, _PLUS = re.compile(r"(?<!\d)-(?=\d)"), re.compile(r"(?<!\d)\+(?=\d)")
_MINUS = "\N{MINUS SIGN}"
_RUNS = re.compile(rf"[^\W\d_]+|{_MINUS}?\d+|\.")
_TIME, _CHANNEL, _DEPTH, _SERIES, _NUMBER, _WORD = "T", "C", "Z", "series", "number", "word"
_TAGS: Mapping[str, str] = {
    **dict.fromkeys(("t", "time", "timepoint", "tp", "frame", "fr", "sk"), _TIME),
    **dict.fromkeys(("c", "ch", "chan", "channel", "w", "wv", "wavelength"), _CHANNEL),
    **dict.fromkeys(("z", "zslice", "zplane", "slice", "plane", "zstack"), _DEPTH),
    **dict.fromkeys(("s", "xy", "p", "pos", "position", "site", "series", "scene"), _SERIES),
    **dict.fromkeys(("f", "fov", "field", "well", "stage", "tile", "cam", "camera"), _SERIES),
}
"""Prefixes that microscopes and their programs write before a number."""

_PLATE_TAGS = {"r": _SERIES, "c": _SERIES, "p": _DEPTH}  # of names with a row: r01c02f03p04
_SURE_CHANNELS = {"ch", "chan", "channel", "wavelength"}
_NAMED = re.compile(r"(channel|position|pos|well|camera|cam)(?=\w)(?!\d+[^\W\d_]+\d)", re.I)


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return what to sort names by, so that 2 comes before 10 and case does not matter."""
    parts = re.split(r"(\d+)", name.lower())
    return [(int(p), p) if k % 2 else (-1, p) for k, p in enumerate(parts) if p], name


def natural_sorted(items: Iterable[_Item]) -> list[_Item]:
    """Sort names, or paths by their names, in natural order."""
    return sorted(items, key=lambda item: natural_key(item if isinstance(item, str) else item.name))


@dataclass(frozen=True)
class Arrangement:
    """Files of one series by time, channel and plane.

    Attributes
    ----------
    files
        In the order of `axes`, the last fastest.
    axes, shape
        Letters T, C and Z, and how many there are of each.
    notes
        What was left out or assumed.
    """

    files: tuple[Path, ...]
    axes: str
    shape: tuple[int, ...]
    notes: tuple[str, ...] = ()


class _Field(NamedTuple):
    """A part of the names that differs: its meaning, and its value in every name."""

    axis: str
    values: list[Hashable]
    sure: bool = False  # whether it counts that even where nothing else differs


def arrange(
    files: Sequence[Path],
    series: int | None = None,
    channels_by: str | None = None,
    *,
    planes: bool = True,
) -> Arrangement:
    """Infer the time, channel and plane of each image of a folder from its name.

    Parameters
    ----------
    series
        Which of several series is wanted, from 0; the first if None.
    channels_by
        A regular expression for the part of a name with the channel (its first group, if it has
        one), where the names do not mark it.
    planes
        Whether each image is one plane of one channel. Otherwise a channel or plane in the names
        makes a series.
    """
    files = natural_sorted(files)
    names = [path.stem for path in files]
    fields = _resolved(_fields(names) if channels_by is None else _fields_by(channels_by, names))
    if not planes:
        fields = [f._replace(axis=_SERIES) if f.axis in (_CHANNEL, _DEPTH) else f for f in fields]
    keys = {axis: _joined(fields, axis, len(names)) for axis in (_SERIES, _TIME, _CHANNEL, _DEPTH)}
    if len(set(zip(*keys.values(), strict=True))) < len(files):  # such as a1 beside a01
        notes = _several_forms(names) or _same_meaning(keys, names)
        return Arrangement(tuple(files), "T", (len(files),), (*notes,))
    groups = sorted(set(keys[_SERIES]), key=_order)
    if not 0 <= (series or 0) < len(groups):
        raise FrameSourceError(
            f"The names in {files[0].parent} make {len(groups)} series, counted from 0, but no "
            f"series {series}: choose another with stream=."
        )
    chosen = [k for k, key in enumerate(keys[_SERIES]) if key == groups[series or 0]]
    numbers = [n for field in fields for n in field.values if isinstance(n, int)]
    notes = ["A dash before some of the numbers is read as a minus."] * (
        min(numbers, default=0) < 0
    )
    if len(groups) > 1 and series is None:
        pattern = f"*{_text(groups[0])}*"
        fits = fnmatch.filter(names, pattern) == [names[k] for k in chosen]
        example = f', such as "{files[0].parent.name}/{pattern}"' if fits else ""
        notes.append(
            f"By their names the images are {len(groups)} series ({_few(groups)}): the first is "
            f"shown. Choose with stream=, or with a pattern as the path{example}. If they are "
            "channels, name them with channels_by=."
        )
    notes += _two_counts(fields, chosen, names)
    grid = {(keys[_TIME][k], keys[_CHANNEL][k], keys[_DEPTH][k]): files[k] for k in chosen}
    arranged = _complete(grid, notes) or _one_channel(grid, notes)
    return arranged or Arrangement(tuple(files[k] for k in chosen), "T", (len(chosen),), (*notes,))


def in_time_order(files: Sequence[Path]) -> list[Path]:
    """Sort files as `arrange` does; in natural order where they are several series."""
    arranged = arrange(files, planes=False).files if files else ()
    return list(arranged) if len(arranged) == len(files) else natural_sorted(files)


def _several_forms(names: Sequence[str]) -> list[str]:
    """Report names of a few forms, such as those of pictures and of their masks."""
    forms = list(dict.fromkeys(map(_form, names)))
    if not 1 < len(forms) <= _MOST_FORMS:
        return []
    return [
        f"The names are of {len(forms)} forms ({', '.join(forms)}), and all images follow one "
        "another. If some are no frames, such as masks, take them out, or give a pattern of the "
        "names as the path."
    ]


def _same_meaning(keys: Mapping[str, Sequence[Hashable]], names: Sequence[str]) -> list[str]:
    """Report names that tell the same time, channel and plane, where names tell more than times."""
    found: dict[Hashable, list[str]] = {}
    for name, *key in zip(names, *keys.values(), strict=True):
        found.setdefault(tuple(key), []).append(name)
    same = next(names for names in found.values() if len(names) > 1)
    if all(len(set(parts)) == 1 for axis, parts in keys.items() if axis != _TIME):
        return []
    return [
        f"The names {_few(same)} mean the same, so all images follow one another, whatever their "
        "channel, plane or position. Take out those that are there twice."
    ]


def _two_counts(fields: Sequence[_Field], chosen: Sequence[int], names: Sequence[str]) -> list[str]:
    """Report two numbers, each of which comes with every other, where neither is of a clock."""
    times = [[field.values[k] for k in chosen] for field in fields if field.axis == _TIME]
    if len(times) < 2 or _DATE.search(names[0]):
        return []
    counts = [len(set(values)) for values in times]
    if prod(counts) != len(chosen) or min(counts) == 1:
        return []
    return [
        f"The names count in {len(counts)} places ({' x '.join(map(str, counts))}): images follow "
        "one another in the order of all. If one of them counts channels or positions, give a "
        "pattern as the path, or channels_by=."
    ]


def _complete(grid: Mapping[tuple, Path], notes: Sequence[str]) -> Arrangement | None:
    """Arrange files that are there for every time, channel and plane, but for a last time."""
    times, channels, planes = (sorted({key[k] for key in grid}, key=_order) for k in range(3))
    is_signed = any(isinstance(part, int) and part < 0 for time in times for part in time)
    if len(channels) == len(planes) == 1 and not is_signed:
        times = [time for time, _, _ in grid]  # the order of the names as a whole, a10 before b2
    notes = [*notes, *_gaps(times)]
    whole = [t for t in times if all((t, c, z) in grid for c, z in product(channels, planes))]
    if whole not in (times, times[:-1]) or not whole:
        return None
    if whole != times:
        notes.append("The last time is left out: its images are not complete.")
    if len(channels) > 1:
        notes.append(f"The names have {len(channels)} channels, {_few(channels)}.")
    sizes = {"T": len(whole), "C": len(channels), "Z": len(planes)}
    axes = "".join(axis for axis, size in sizes.items() if size > 1 or axis == "T")
    files = tuple(grid[key] for key in product(whole, channels, planes))
    return Arrangement(files, axes, tuple(sizes[axis] for axis in axes), tuple(notes))


def _gaps(times: Sequence[Hashable]) -> list[str]:
    """Report numbers that are missing, where the others count in even steps."""
    numbers = [key[0] for key in times if isinstance(key, tuple) and len(key) == 1]
    if len(numbers) != len(times) or not all(isinstance(number, int) for number in numbers):
        return []
    steps = [b - a for a, b in pairwise(numbers)]  # type: ignore[operator]
    usual = min(steps, default=0)
    wide = [k for k, step in enumerate(steps) if step > usual]
    if not wide or usual <= 0 or len(wide) > len(steps) // 4:
        return []
    missing = sum(steps[k] // usual - 1 for k in wide)
    return [
        f"The numbers in the names leave out {missing}, the first after {numbers[wide[0]]}: images "
        "may be missing. Those that are there follow one another."
    ]


def _one_channel(grid: Mapping[tuple, Path], notes: Sequence[str]) -> Arrangement | None:
    """Take the channel with the most images, where others are not there on every frame."""
    channels = [key[1] for key in grid]
    if len(set(channels)) < 2:
        return None
    chosen = max(dict.fromkeys(channels), key=channels.count)
    part = {key: file for key, file in grid.items() if key[1] == chosen}
    note = (
        f"Of the channels {_few(set(channels))} only {_text(chosen)} is shown: they are not all "
        "there at every time."
    )
    return _complete(part, [*notes, note])


def _fields(names: Sequence[str]) -> list[_Field]:
    """Cut names into parts, and keep those that differ; none if they are not cut alike."""
    pieces = [[piece for piece in _SEPARATORS.split(name) if piece] for name in _signed(names)]
    if len({len(parts) for parts in pieces}) != 1:
        return []
    columns = list(zip(*pieces, strict=True))
    fields: list[_Field] = []
    tag = ""
    for column in columns:
        alone = all(len(set(other)) == 1 for other in columns if other is not column)
        found, tag = _fields_of(column, tag, alone)
        fields += found
    return [field for field in fields if len(set(field.values)) > 1]


def _fields_of(column: Sequence[str], tag: str, alone: bool) -> tuple[list[_Field], str]:
    """Fields of one part of the names.

    `tag`, also returned for the next part, is what comes before it, if that is always the same.
    Where nothing else differs (`alone`), A1 and B2 are frames 1 and 2 of A and B, not wells.
    """
    if all(_NAMED.match(piece) for piece in column):
        kinds = {_NAMED.match(piece)[1].lower() for piece in column}  # type: ignore[index]
        if len(kinds) == 1:
            tag = kinds.pop()
            values: list[Hashable] = [piece[len(tag) :] for piece in column]
            return [_Field(_TAGS[tag], values, tag in _SURE_CHANNELS)], ""
    if all(_CLOCK.fullmatch(piece) for piece in column):
        return [_Field(_TIME, [tuple(map(int, re.findall(r"\d+", piece))) for piece in column])], ""
    is_well = not alone and all(_WELL.fullmatch(piece) for piece in column)
    if is_well and len({piece[0] for piece in column}) > 1:
        return [_Field(_SERIES, list(column))], ""
    runs = [_RUNS.findall(piece) for piece in column]
    if len({tuple(map(_is_number, row)) for row in runs}) != 1:
        return [_Field(_WORD, list(column))], ""
    fields, tags, axis = [], _TAGS, _NUMBER
    columns = list(zip(*runs, strict=True))
    letters = [c[0].lower() for c in columns if not _is_number(c[0])]
    if letters[:2] == ["r", "c"]:
        tags = {**_TAGS, **_PLATE_TAGS}
    for part in columns:
        if _is_number(part[0]):
            numbers: list[Hashable] = [int(text.replace(_MINUS, "-")) for text in part]
            if tag != "." or axis != _TIME:  # the decimals of a time are of the time
                axis = tags.get(tag, _NUMBER)
            fields.append(_Field(axis, numbers, tag in _SURE_CHANNELS))
        else:
            fields.append(_Field(_WORD, list(part)))
        tag = part[0].lower() if len({text.lower() for text in part}) == 1 else ""
    return fields, tag


def _fields_by(expression: str, names: Sequence[str]) -> list[_Field]:
    """Take the channel from an expression, and the rest from what is left of the names."""
    try:
        found = [re.search(expression, name) for name in names]
    except re.error as error:
        raise FrameSourceError(f"channels_by={expression!r} is no expression: {error}.") from error
    values: list[Hashable] = []
    rest: list[str] = []
    for name, match in zip(names, found, strict=True):
        if match is None:
            raise FrameSourceError(f"channels_by={expression!r} finds nothing in the name {name}.")
        values.append(match[1] if match.re.groups else match[0])
        rest.append(f"{name[: match.start()]}_{name[match.end() :]}")
    others = [field for field in _fields(rest) if field.axis != _CHANNEL]
    return [_Field(_CHANNEL, values, True), *others]


def _resolved(fields: list[_Field]) -> list[_Field]:
    """Decide the meaning of each part that does not follow from the others."""
    if len(fields) == 1 and not fields[0].sure:
        return [fields[0]._replace(axis=_TIME)]
    fields = [
        field._replace(axis=_SERIES)
        if field.axis == _CHANNEL and len(set(field.values)) > _MOST_CHANNELS
        else field
        for field in fields
    ]
    if not any(field.axis == _TIME for field in fields):
        fields = [f._replace(axis=_TIME) if f.axis == _NUMBER else f for f in fields]
    known = [field for field in fields if field.axis not in (_NUMBER, _WORD)]
    for field in fields:
        if field.axis in (_NUMBER, _WORD) and not _follows(field, known):
            known.append(field._replace(axis=_SERIES))
    return known


def _follows(field: _Field, known: Sequence[_Field]) -> bool:
    """Return whether the other parts imply this one as a date beside a number does."""
    keys = list(zip(*(other.values for other in known), strict=True)) or [()] * len(field.values)
    return len(set(keys)) == len(set(zip(keys, field.values, strict=True)))


def _joined(fields: Sequence[_Field], axis: str, count: int) -> list[tuple[Hashable, ...]]:
    parts = [field.values for field in fields if field.axis == axis]
    return list(zip(*parts, strict=True)) if parts else [()] * count


def _order(key: Sequence[Hashable]) -> list[Any]:
    return [part if isinstance(part, int) else natural_key(str(part)) for part in key]


def _is_number(run: str) -> bool:
    return run[-1].isdecimal()


def _form(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _signed(names: Sequence[str]) -> list[str]:
    """Make a minus of each dash that others of the names do without, and drop the pluses."""
    names = [_PLUS.sub("", name) for name in names]
    forms = {_form(name) for name in names}

    def sign(dash: re.Match[str]) -> str:
        name = dash.string
        return _MINUS if _form(name[: dash.start()] + name[dash.end() :]) in forms else "-"

    return [_DASH.sub(sign, name) for name in names]


def _text(key: Hashable) -> str:
    return " ".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _few(keys: Iterable[Hashable]) -> str:
    texts = [_text(key) for key in keys]
    return ", ".join(texts[:4]) + (" ..." if len(texts) > 4 else "")
