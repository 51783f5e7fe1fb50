"""What a project's labelling config offers: pictures and videos, and controls to put results in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from sam2_plugins.labelstudio_backend.errors import FormatError, NothingToDo
from sam2_plugins.labelstudio_backend.timing import DEFAULT_RATE

LONGEST = 1 << 20

_SHAPES = ("Brush", "Bitmask", "Polygon", "Rectangle", "KeyPoint")
CONTROLS = ("VideoRectangle", *_SHAPES, *(f"{shape}Labels" for shape in _SHAPES))
"""Tags that this backend reads or fills."""


@dataclass(frozen=True)
class Media:
    """A `<Video>` or `<Image>` of the config.

    Attributes
    ----------
    name, kind
        Its name; "Video" or "Image".
    key
        Key of the task's data with the address, or the list of addresses.
    is_stack
        Whether it shows several pictures, page by page.
    rate
        A video's `framerate` as written: a number, or "$key" of the task's data.
    """

    name: str
    kind: str
    key: str
    is_stack: bool = False
    rate: str = ""

    def framerate(self, data: Mapping[str, Any]) -> float:
        """Return the frame rate that the editor counts a task's frames with."""
        text = data.get(self.rate[1:]) if self.rate.startswith("$") else self.rate
        try:
            rate = float(str(text))
        except ValueError:
            return DEFAULT_RATE
        return rate if 0 < rate < float("inf") else DEFAULT_RATE


@dataclass(frozen=True)
class Control:
    """A control of the config that this backend reads or fills.

    Attributes
    ----------
    name, to_name, tag
        Its name, that of its picture or video, and what it is, such as "BrushLabels".
    labels
        That it offers; for a control without its own, those of the `<Labels>` beside it.
    """

    name: str
    to_name: str
    tag: str
    labels: tuple[str, ...]

    @property
    def type(self) -> str:
        """The `type` of its results; the key of their labels as well, if it has some of its own."""
        return self.tag.lower()

    @property
    def shape(self) -> str:
        """Return "brush", "bitmask", "polygon", "rectangle", "keypoint" or "videorectangle"."""
        return self.type.removesuffix("labels")


@dataclass(frozen=True)
class LabelConfig:
    """A parsed labelling config, and the text that it was."""

    xml: str
    media: tuple[Media, ...]
    controls: tuple[Control, ...]

    def media_named(self, name: str) -> Media:
        """Return a video or picture by its name.

        Raises
        ------
        FormatError
            If the config has none of that name.
        """
        for one in self.media:
            if one.name == name:
                return one
        raise FormatError(f"The labelling config has no Image or Video called {name!r}.")

    def controls_of(self, media: Media) -> list[Control]:
        """Return the controls of a video or picture."""
        return [control for control in self.controls if control.to_name == media.name]

    def output(self, media: Media, label: str | None) -> Control:
        """Return the control that takes masks of a picture: the one that keeps most of them.

        Raises
        ------
        NothingToDo
            If there is none, or none with that label.
        """
        shapes = [shape.lower() for shape in _SHAPES[:-1]]
        takers = [c for c in self.controls_of(media) if c.shape in shapes]
        if not takers:
            raise NothingToDo(
                f"The labelling config has no place for a mask of {media.name!r}: add "
                "BrushLabels, BitmaskLabels, PolygonLabels or RectangleLabels."
            )
        takers.sort(key=lambda control: shapes.index(control.shape))
        for control in takers:
            if label is None or label in control.labels or not control.labels:
                return control
        raise NothingToDo(
            f"The label {label!r} is not in {takers[0].tag} of the labelling config: give it the "
            "same labels as the control of the prompts."
        )


@lru_cache(maxsize=64)
def parse_label_config(xml: str) -> LabelConfig:
    """Read a labelling config.

    Raises
    ------
    FormatError
        If it is no XML, or holds what a config never does: a document type or entities.
    """
    if len(xml) > LONGEST or re.search(r"<!(DOCTYPE|ENTITY)", xml, re.IGNORECASE):
        raise FormatError("The labelling config is too long or declares a document type.")
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - no entity gets here
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise FormatError(f"The labelling config is no XML: {error}") from error
    tags = list(root.iter())
    return LabelConfig(xml, tuple(_read_media(tags)), tuple(_read_controls(tags)))


def _read_media(tags: Iterable[ElementTree.Element]) -> Iterable[Media]:
    for tag in tags:
        name, pages = tag.get("name", ""), tag.get("valueList", "")
        address = pages or tag.get("value", "")
        if tag.tag in ("Video", "Image") and name and address.startswith("$"):
            yield Media(name, tag.tag, address[1:], bool(pages), tag.get("framerate", ""))


def _read_controls(tags: Iterable[ElementTree.Element]) -> Iterable[Control]:
    tags = list(tags)
    shared = {tag.get("toName", ""): _labels(tag) for tag in tags if tag.tag == "Labels"}
    for tag in tags:
        name, to_name = tag.get("name", ""), tag.get("toName", "")
        if tag.tag in CONTROLS and name and to_name:
            own = _labels(tag) if tag.tag.endswith("Labels") else shared.get(to_name, ())
            yield Control(name, to_name, tag.tag, own)


def _labels(tag: ElementTree.Element) -> tuple[str, ...]:
    return tuple(label for child in tag.iter("Label") if (label := child.get("value")))
