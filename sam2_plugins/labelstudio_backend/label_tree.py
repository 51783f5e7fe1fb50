"""A labelling config as Label Studio's editor reads it: tags and attributes in any case, Repeater.

What the editor makes of a config depends on the task: a Repeater has as many children as the task
has items, and a value such as `$pages[0].url` is looked up in the task's data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from xml.etree import ElementTree

from sam2_plugins.labelstudio_backend.errors import FormatError

LONGEST = 1 << 20
MOST_REPEATS = 10_000

_VARIABLE = re.compile(r"\$[\w\[\].{}]+", re.ASCII)
_STEP = re.compile(r"[^.\[\]]+")


@dataclass(frozen=True)
class Tag:
    """An element of a labelling config.

    Attributes
    ----------
    kind
        Its name in small letters, such as "brushlabels".
    written
        Its name as the config has it.
    attributes
        By name in small letters.
    """

    kind: str
    written: str
    attributes: Mapping[str, str]
    children: tuple[Tag, ...] = ()

    def get(self, attribute: str) -> str:
        """Return an attribute; "" if it is not there."""
        return self.attributes.get(attribute, "")

    def walk(self) -> Iterator[Tag]:
        """Yield the tag and everything below it, in the order of the config."""
        yield self
        for child in self.children:
            yield from child.walk()


@lru_cache(maxsize=64)
def read_tree(xml: str) -> Tag:
    """Read a labelling config.

    Raises
    ------
    FormatError
        If it is no XML, or holds what a config never does: a document type or entities.
    """
    if len(xml) > LONGEST or re.search(r"<!(DOCTYPE|ENTITY)", xml, re.IGNORECASE):
        raise FormatError("The labelling config is too long or declares a document type.")
    try:
        return _tag(ElementTree.fromstring(xml))  # noqa: S314 - no entity gets here
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise FormatError(f"The labelling config is no XML: {error}") from error


def unfold(root: Tag, data: Mapping[str, Any]) -> Tag:
    """Return the tree of a task: with the children of every Repeater as often as it has items.

    Raises
    ------
    FormatError
        If there are too many.
    """
    budget = [MOST_REPEATS]
    return _unfold(root, data, budget)


def value_of(expression: str, data: Mapping[str, Any]) -> Any:
    """Return what an attribute stands for: `$key`, `$list[0].key`, or text with such parts."""
    if _VARIABLE.fullmatch(expression):
        return _look_up(expression[1:], data)
    return _VARIABLE.sub(lambda found: _text(_look_up(found[0][1:], data)), expression)


def _tag(element: ElementTree.Element) -> Tag:
    name = str(element.tag).rpartition("}")[2]
    attributes = {key.lower(): value for key, value in element.attrib.items()}
    # Of HyperText, the editor takes everything inside for text.
    inside = () if name.lower() == "hypertext" else tuple(map(_tag, element))
    return Tag(name.lower(), name, attributes, inside)


def _unfold(tag: Tag, data: Mapping[str, Any], budget: list[int]) -> Tag:
    if tag.kind != "repeater":
        return replace(tag, children=tuple(_unfold(c, data, budget) for c in tag.children))
    items = value_of(tag.get("on"), data)
    count = len(items) if isinstance(items, list | str) else 0
    flag = tag.get("indexflag") or "{{idx}}"
    copies = []
    for index in range(count):
        for child in tag.children:
            budget[0] -= 1
            if budget[0] < 0:
                raise FormatError(f"The Repeater makes more than {MOST_REPEATS} tags of a task.")
            copies.append(_unfold(_numbered(child, flag, index), data, budget))
    return Tag("view", "View", {}, tuple(copies))


def _numbered(tag: Tag, flag: str, index: int) -> Tag:
    attributes = {key: value.replace(flag, str(index)) for key, value in tag.attributes.items()}
    children = tuple(_numbered(child, flag, index) for child in tag.children)
    return replace(tag, attributes=attributes, children=children)


def _look_up(path: str, data: Any) -> Any:
    for step in _STEP.findall(path):
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and step.isdecimal() and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data


def _text(value: Any) -> str:
    return "" if value is None else str(value)
