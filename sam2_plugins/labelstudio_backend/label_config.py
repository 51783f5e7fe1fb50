"""What a project's labelling config offers: pictures and videos, and controls to put results in.

It is read as Label Studio's editor reads it: tags and attributes in any case, and for one task,
since a Repeater has as many children as the task has items, and `$pages[0].url` stands for a part
of the task's data.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from sam2_plugins.labelstudio_backend.errors import FormatError, NothingToDo
from sam2_plugins.labelstudio_backend.timing import DEFAULT_RATE

OUTPUTS = ("brush", "bitmask", "polygon", "ellipse", "rectangle")
"""Shapes that a mask is written as, the one that keeps most of it first."""
SHAPES = (*OUTPUTS, "keypoint", "vector", "magicwand")
"""Shapes on a picture that are read as prompts."""
VIDEO_SHAPE = "videorectangle"

TRACK_CONTROL = "sam2"
"""The labels of a `<Labels>` of this name are buttons: pressing one tracks the selected box."""

LONGEST = 1 << 20
MOST_REPEATS = 10_000

_OBJECTS = {
    "audio", "audioplus", "chat", "custominterface", "hypertext", "image", "list", "paragraphs",
    "pairwise", "pdf", "ranker", "reactcode", "table", "text", "timeseries", "video",
}  # fmt: skip
_VARIABLE = re.compile(r"\$[\w\[\].{}]+", re.ASCII)
_STEP = re.compile(r"[^.\[\]]+")
_WRITTEN = "#written"  # key of a tag's name as the config has it: no attribute is called this


@dataclass(frozen=True)
class Control:
    """A control of the config that this backend reads or fills.

    Attributes
    ----------
    name, to_name, tag
        Its name, that of its picture or video, and what it is, such as "BrushLabels".
    type
        The `type` of its results; the key of their labels as well, if it has some of its own.
    shape
        "brush", "bitmask", "polygon", "rectangle", "keypoint", "videorectangle" …
    labels
        All that its results may have; if there are none, they may have any.
    beside
        The `<Labels>` that each label stands in, of a shape without any of its own.
    """

    name: str
    to_name: str
    tag: str
    type: str
    shape: str
    labels: tuple[str, ...]
    beside: Mapping[str, str]


@dataclass(frozen=True)
class Media:
    """A `<Video>` or `<Image>` of the config.

    Attributes
    ----------
    key
        Where the task has its address, without the sign: `key`, `list[0].key`.
    address
        The task's address of it, or the addresses of the pages.
    is_stack
        Whether it shows several pictures, page by page.
    rate
        The frame rate that the editor counts the task's frames with.
    controls
        All that are about it.
    takers
        Those that take what the model makes of it, the one that keeps most of it first.
    """

    name: str
    kind: str
    key: str
    address: Any
    is_stack: bool
    rate: float
    controls: tuple[Control, ...]
    takers: tuple[Control, ...]

    def output(self, *labels: str) -> Control:
        """Return the control that takes masks of a picture, or boxes of a video, with labels.

        Raises
        ------
        NothingToDo
            If there is none, or none with all of them.
        """
        if not self.takers:
            raise NothingToDo(
                f"The labelling config has no place for a mask of {self.name!r}: add "
                "BrushLabels, BitmaskLabels, PolygonLabels, EllipseLabels or RectangleLabels."
            )
        for control in self.takers:
            if not control.labels or {*labels} <= {*control.labels}:
                return control
        missing = next((x for x in labels if x not in self.takers[0].labels), labels[0])
        raise NothingToDo(
            f"The label {missing!r} is not in {self.takers[0].tag} of the labelling config: give "
            "it the same labels as the control of the prompts."
        )


@dataclass(frozen=True)
class LabelConfig:
    """The labelling config of a task.

    Attributes
    ----------
    others
        Tags with a name that this backend neither shows nor fills, for messages.
    buttons
        Labels of the `<Labels name="sam2">`: no labels of an object.
    """

    media: tuple[Media, ...]
    controls: tuple[Control, ...]
    others: tuple[str, ...]
    buttons: tuple[str, ...]


def parse_label_config(xml: str, data: Mapping[str, Any] | None = None) -> LabelConfig:
    """Read a labelling config for a task with this data.

    Raises
    ------
    FormatError
        If it is no labelling config, or a Repeater makes too many tags.
    """
    data = data or {}
    root = _read_tree(xml)
    if next(root.iter("repeater"), None) is not None:
        unfolded = ElementTree.Element("view")
        try:
            unfolded.extend(list(_unfold(root, data, [MOST_REPEATS])))
        except RecursionError as error:
            raise FormatError("The tags of the labelling config are nested too deep.") from error
        root = unfolded
    tags = [tag for tag in root.iter() if tag.get("name")]
    objects = [tag.get("name", "") for tag in tags if tag.tag in _OBJECTS]
    only = objects[0] if len(objects) == 1 else ""
    shown = [
        t for t in tags if t.tag in ("video", "image") and (t.get("valuelist") or t.get("value"))
    ]
    names = {tag.get("name", "") for tag in shown}
    beside: dict[str, dict[str, str]] = {}
    buttons: dict[str, None] = {}
    for tag in (tag for tag in tags if tag.tag == "labels"):
        if tag.get("name") == TRACK_CONTROL:
            buttons |= dict.fromkeys(_labels(tag, data))
        else:
            for label in _labels(tag, data):
                about = beside.setdefault(tag.get("toname") or only, {})
                about.setdefault(label, tag.get("name", ""))
    controls, others = [], []
    for tag in tags:
        # A control without toName belongs to the only object.
        name, written = tag.get("name", ""), tag.get(_WRITTEN, "")
        to_name = tag.get("toname") or only
        shape = tag.tag.removesuffix("labels")
        if shape in (*SHAPES, VIDEO_SHAPE) and to_name in names:
            sets = beside.get(to_name, {}) if tag.tag == shape else {}
            labels = tuple(sets) if tag.tag == shape else _labels(tag, data)
            controls.append(Control(name, to_name, written, tag.tag, shape, labels, sets))
        elif name not in names and tag.tag != "labels":
            others.append(written)
    media = tuple(_media(tag, controls, data) for tag in shown)
    return LabelConfig(media, tuple(controls), tuple(dict.fromkeys(others)), tuple(buttons))


def value_of(expression: str, data: Mapping[str, Any]) -> Any:
    """Return what an attribute stands for: `$key`, `$list[0].key`, or text with such parts.

    A key that itself is called `list[0].key`, as a column of a table may be, goes first.
    """
    values = {}
    for variable in _VARIABLE.findall(expression):
        value: Any = data
        for step in [variable[1:]] if variable[1:] in data else _STEP.findall(variable[1:]):
            if isinstance(value, list):
                index = int(step) if step.isdecimal() else len(value)
                value = value[index] if index < len(value) else None
            else:
                value = value.get(step) if isinstance(value, Mapping) else None
        values[variable] = value
    if expression in values:
        return values[expression]
    texts = {variable: "" if value is None else str(value) for variable, value in values.items()}
    return _VARIABLE.sub(lambda found: texts[found[0]], expression)


def is_shape(result: Mapping[str, Any]) -> bool:
    """Whether a result of a region is its shape: not its labels, nor a choice or a text."""
    kind = str(result.get("type")).lower()
    return kind.removesuffix("labels") in (*SHAPES, VIDEO_SHAPE)


def outline_of(xml: str) -> list[list[str]]:
    """Return what predictions depend on in a labelling config: names, and rates of videos."""
    about = ("name", "toname", "framerate")
    named = (tag for tag in _read_tree(xml).iter() if tag.get("name"))
    return [[tag.tag, *(tag.get(key, "") for key in about)] for tag in named]


@lru_cache(maxsize=64)
def _read_tree(xml: str) -> ElementTree.Element:
    """Read a labelling config, its names in small letters."""
    if len(xml) > LONGEST or re.search(r"<!(DOCTYPE|ENTITY)", xml, re.IGNORECASE):
        raise FormatError("The labelling config is too long or declares a document type.")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - no entity gets here
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise FormatError(f"The labelling config is no XML: {error}") from error
    for tag in root.iter():
        written = tag.tag.rpartition("}")[2]
        tag.tag = written.lower()
        attributes = {key.lower(): value for key, value in tag.attrib.items()}
        tag.attrib = {**attributes, _WRITTEN: written}
        if tag.tag == "hypertext":  # the editor takes everything inside for text
            del tag[:]
    return root


def _unfold(
    tag: ElementTree.Element,
    data: Mapping[str, Any],
    budget: list[int],
    marks: tuple[tuple[str, str], ...] = (),
) -> Iterator[ElementTree.Element]:
    """Yield a tag as the task has it: of a Repeater, its children as often as it has items.

    Parameters
    ----------
    budget
        How many tags may still be made.
    marks
        What stands for the number of an item in the attributes, and the number.
    """
    attributes = tag.attrib
    for flag, index in marks:
        attributes = {key: value.replace(flag, index) for key, value in attributes.items()}
    if tag.tag != "repeater":
        made = ElementTree.Element(tag.tag, attributes)
        made.extend([one for child in tag for one in _unfold(child, data, budget, marks)])
        yield made
        return
    items = value_of(attributes.get("on", ""), data)
    flag = attributes.get("indexflag") or "{{idx}}"
    for number in range(len(items) if isinstance(items, list | str) else 0):
        budget[0] -= len(tag)
        if budget[0] < 0:
            raise FormatError(f"The Repeater makes more than {MOST_REPEATS} tags of a task.")
        for child in tag:
            yield from _unfold(child, data, budget, (*marks, (flag, str(number))))


def _media(tag: ElementTree.Element, controls: list[Control], data: Mapping[str, Any]) -> Media:
    name, kind, pages = tag.get("name", ""), tag.tag.capitalize(), tag.get("valuelist", "")
    value = pages or tag.get("value", "")
    about = tuple(control for control in controls if control.to_name == name)
    wanted = (VIDEO_SHAPE,) if kind == "Video" else OUTPUTS
    takers = [control for control in about if control.shape in wanted]
    takers.sort(key=lambda control: wanted.index(control.shape))
    rate = DEFAULT_RATE
    if written := tag.get("framerate"):
        with suppress(ValueError, ZeroDivisionError):
            read = float(str(value_of(written, data)))
            read = read if read >= 1 else 1 / read  # the editor takes 0.04 for seconds a frame
            rate = read if 0 < read < math.inf else rate
    key, address = value.removeprefix("$"), value_of(value, data)
    return Media(name, kind, key, address, bool(pages), rate, about, tuple(takers))


def _labels(tag: ElementTree.Element, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels of a control: its children, and those that the task brings along."""
    found = [child.get("alias") or child.get("value") for child in tag.iter("label")]
    brought = value_of(tag.get("value", ""), data) if tag.get("value") else None
    items = list(brought) if isinstance(brought, list) else []
    while items:
        item = items.pop(0)
        if isinstance(item, Mapping):
            found.append(item.get("alias") or item.get("value"))
            children = item.get("children")
            items[:0] = children if isinstance(children, list) else []
    return tuple(label for label in found if label and isinstance(label, str))
