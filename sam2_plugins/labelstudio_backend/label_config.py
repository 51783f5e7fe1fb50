"""What a project's labelling config offers: pictures and videos, and controls to put results in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sam2_plugins.labelstudio_backend.errors import NothingToDo
from sam2_plugins.labelstudio_backend.label_tree import Tag, read_tree, unfold, value_of
from sam2_plugins.labelstudio_backend.timing import DEFAULT_RATE

OUTPUTS = ("brush", "bitmask", "polygon", "ellipse", "rectangle")
"""Shapes that a mask is written as, the one that keeps most of it first."""
SHAPES = (*OUTPUTS, "keypoint", "vector", "magicwand")
"""Shapes on a picture that are read as prompts."""
VIDEO_SHAPE = "videorectangle"

TRACK_CONTROL = "sam2"
"""A `<Labels>` of this name on a video has no labels but buttons: pressing one tracks a box."""

_OBJECTS = {
    "audio", "audioplus", "chat", "custominterface", "hypertext", "image", "list", "paragraphs",
    "pairwise", "pdf", "ranker", "reactcode", "table", "text", "timeseries", "video",
}  # fmt: skip


@dataclass(frozen=True)
class Media:
    """A `<Video>` or `<Image>` of the config.

    Attributes
    ----------
    name, kind
        Its name; "Video" or "Image".
    value
        Where the task has its address, or the list of addresses: `$key`, `$list[0].key`.
    is_stack
        Whether it shows several pictures, page by page.
    rate
        A video's `frameRate` as written: a number, or "$key" of the task's data.
    """

    name: str
    kind: str
    value: str
    is_stack: bool = False
    rate: str = ""

    @property
    def key(self) -> str:
        """`value` without its sign: what the task's data has to have."""
        return self.value.removeprefix("$")

    def address(self, data: Mapping[str, Any]) -> Any:
        """Return a task's address of it, or the addresses of the pages."""
        return value_of(self.value, data)

    def framerate(self, data: Mapping[str, Any]) -> float:
        """Return the frame rate that the editor counts a task's frames with."""
        try:
            rate = float(str(value_of(self.rate, data)))
        except ValueError:
            return DEFAULT_RATE
        if not 0 < rate < math.inf:
            return DEFAULT_RATE
        return rate if rate >= 1 else 1 / rate  # the editor takes 0.04 for seconds a frame


@dataclass(frozen=True)
class LabelSet:
    """The labels that one control of the config offers, as they stand in results."""

    control: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Control:
    """A control of the config that this backend reads or fills.

    Attributes
    ----------
    name, to_name, tag
        Its name, that of its picture or video, and what it is, such as "BrushLabels".
    own
        Its own labels; None for a shape without, which takes those of the `<Labels>` beside it.
    beside
        Those of each such `<Labels>`.
    """

    name: str
    to_name: str
    tag: str
    own: tuple[str, ...] | None
    beside: tuple[LabelSet, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that its results may have."""
        if self.own is not None:
            return self.own
        return tuple(label for one in self.beside for label in one.labels)

    @property
    def type(self) -> str:
        """The `type` of its results; the key of their labels as well, if it has some of its own."""
        return self.tag.lower()

    @property
    def shape(self) -> str:
        """Return "brush", "bitmask", "polygon", "rectangle", "keypoint", "videorectangle" …"""
        return self.type.removesuffix("labels")

    def takes(self, label: str | None) -> bool:
        """Whether a result of it may have a label; one without labels takes all."""
        return label is None or not self.labels or label in self.labels

    def labels_beside(self, label: str) -> str | None:
        """Return the `<Labels>` in whose name the label of a result stands, if it is not in it."""
        if self.own is not None:
            return None
        return next((one.control for one in self.beside if label in one.labels), None)


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
    others: tuple[str, ...] = ()
    buttons: tuple[str, ...] = ()

    def controls_of(self, media: Media) -> list[Control]:
        """Return the controls of a video or picture."""
        return [control for control in self.controls if control.to_name == media.name]

    def is_filled(self, media: Media) -> bool:
        """Whether there is a control that takes what the model makes of a video or picture."""
        return bool(self._takers(media))

    def output(self, media: Media, label: str | None) -> Control:
        """Return the control that takes masks of a picture, the one that keeps most of them, or
        boxes of a video.

        Raises
        ------
        NothingToDo
            If there is none, or none with that label.
        """
        takers = self._takers(media)
        if not takers:
            raise NothingToDo(
                f"The labelling config has no place for a mask of {media.name!r}: add "
                "BrushLabels, BitmaskLabels, PolygonLabels, EllipseLabels or RectangleLabels."
            )
        for control in takers:
            if control.takes(label):
                return control
        raise NothingToDo(
            f"The label {label!r} is not in {takers[0].tag} of the labelling config: give it the "
            "same labels as the control of the prompts."
        )

    def _takers(self, media: Media) -> list[Control]:
        """Return the controls that take what the model makes of a video or picture, best first."""
        wanted = (VIDEO_SHAPE,) if media.kind == "Video" else OUTPUTS
        takers = [control for control in self.controls_of(media) if control.shape in wanted]
        return sorted(takers, key=lambda control: wanted.index(control.shape))


def parse_label_config(xml: str, data: Mapping[str, Any] | None = None) -> LabelConfig:
    """Read a labelling config for a task with this data.

    Raises
    ------
    FormatError
        If it is no labelling config.
    """
    data = data or {}
    tags = [tag for tag in unfold(read_tree(xml), data).walk() if tag.get("name")]
    objects = [tag.get("name") for tag in tags if tag.kind in _OBJECTS]
    only = objects[0] if len(objects) == 1 else ""
    media = tuple(_media(tags))
    shown = {one.name for one in media}
    sets: dict[str, list[LabelSet]] = {}
    buttons: list[str] = []
    for tag in tags:
        if tag.kind == "labels":
            labels = tuple(_labels(tag, data))
            if tag.get("name") == TRACK_CONTROL:
                buttons += labels
            else:
                sets.setdefault(_object_of(tag, only), []).append(LabelSet(tag.get("name"), labels))
    controls, others = [], []
    for tag in tags:
        to_name = _object_of(tag, only)
        if tag.kind.removesuffix("labels") in (*SHAPES, VIDEO_SHAPE) and to_name in shown:
            own = tuple(_labels(tag, data)) if tag.kind.endswith("labels") else None
            beside = tuple(sets.get(to_name, ())) if own is None else ()
            controls.append(Control(tag.get("name"), to_name, tag.written, own, beside))
        elif tag.get("name") not in shown and tag.kind != "labels":
            others.append(tag.written)
    return LabelConfig(
        media, tuple(controls), tuple(dict.fromkeys(others)), tuple(dict.fromkeys(buttons))
    )


def _object_of(tag: Tag, only: str) -> str:
    """Return the object that a control is about; one that does not tell is about the only one."""
    return tag.get("toname") or only


def _media(tags: list[Tag]) -> Iterator[Media]:
    for tag in tags:
        pages = tag.get("valuelist")
        address = pages or tag.get("value")
        if tag.kind in ("video", "image") and address:
            name, kind = tag.get("name"), tag.kind.capitalize()
            yield Media(name, kind, address, bool(pages), tag.get("framerate"))


def _labels(tag: Tag, data: Mapping[str, Any]) -> Iterator[str]:
    for child in tag.walk():
        if child.kind == "label" and (label := child.get("alias") or child.get("value")):
            yield label
    if tag.get("value"):
        yield from _labels_of_task(value_of(tag.get("value"), data))


def _labels_of_task(items: Any) -> Iterator[str]:
    """Yield labels that a task brings along, nested ones too."""
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping):
            label = item.get("alias") or item.get("value")
            if isinstance(label, str) and label:
                yield label
            yield from _labels_of_task(item.get("children"))
