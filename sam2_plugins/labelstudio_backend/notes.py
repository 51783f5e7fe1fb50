"""Words for the annotator, where open-source Label Studio shows any: in the details of a region."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

PREFIX = "SAM 2: "


def with_note(results: Iterable[Mapping[str, Any]], text: str) -> list[dict[str, Any]]:
    """Return regions as they are, each with a note beside what a person wrote there."""
    noted = []
    for result in results:
        if "id" not in result:  # a relation
            noted.append(dict(result))
            continue
        meta = without_note(result.get("meta"))
        texts = [*_texts(meta), PREFIX + text]
        noted.append({**result, "meta": {**meta, "text": texts}})
    return noted


def without_note(meta: Any) -> dict[str, Any]:
    """Return a region's meta data without our note."""
    if not isinstance(meta, Mapping):
        return {}
    persons = [text for text in _texts(meta) if not str(text).startswith(PREFIX)]
    rest = {key: value for key, value in meta.items() if key != "text"}
    return {**rest, "text": persons} if persons else rest


def _texts(meta: Mapping[str, Any]) -> list[Any]:
    text = meta.get("text", [])
    return list(text) if isinstance(text, list) else [text]
