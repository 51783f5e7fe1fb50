"""Attributes and relations of regions, which are kept when a region is replaced by its answer.

A region of an annotation is one result or several with the same id: its shape, its labels where
they are a control of their own, and attributes (Choices, TextArea, Number, Rating). Relations name
two ids. The only text of ours that open-source Label Studio shows is in the details of a region.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sam2_plugins.core.files import digest_of

RELATION = "relation"
NOTE = "sam2"
"""Key of this backend's data in a region's meta data and in a keyframe."""
PREFIX = "SAM 2: "
_TOLD = "told"
"""Key of our words: the editor makes one text of all, and a person writes into it."""

_OF_A_PERSON = ("parentID", "hidden", "locked", "readonly")
"""Keys of a result that a person sets by its region, beside meta data."""

Result = Mapping[str, Any]


def id_of(result: Result) -> str:
    """Return the id of a result's region."""
    return str(result.get("id", ""))


def named(results: Iterable[Result]) -> list[Result]:
    """Return results, with ids for regions without: Label Studio keeps imported ones like that."""
    found = []
    for result in results:
        if result.get("id") is None and result.get("type") != RELATION:
            text = json.dumps(result, sort_keys=True, default=str)
            result = {**result, "id": digest_of(text, 10)}
        found.append(result)
    return found


def region_of(results: Sequence[Result], id_: str) -> list[Result]:
    """Return all results of a region."""
    return [result for result in results if id_of(result) == id_]


def note_of(result: Result) -> Mapping[str, Any]:
    """Return what this backend has noted in a region that it made."""
    meta = result.get("meta")
    note = meta.get(NOTE) if isinstance(meta, Mapping) else None
    return note if isinstance(note, Mapping) else {}


def track_of(result: Result) -> str | None:
    """Return the object of a region of a stack, if this backend made the region."""
    track = note_of(result).get("track")
    return track if isinstance(track, str) else None


def tracks_of(results: Iterable[Result]) -> dict[str, str]:
    """Return the objects of regions of a stack that this backend made, by the regions' ids.

    The editor copies a region with everything that is noted in it: a copy that a person has moved
    or changed, beside the region on its page, is an object of its own, and not here.
    """
    found: dict[str, str] = {}
    firsts: dict[tuple[str, Any], Result] = {}
    for result in results:
        track = track_of(result)
        if track is not None:
            first = firsts.setdefault((track, result.get("item_index") or 0), result)
            if id_of(first) == id_of(result) or first.get("value") == result.get("value"):
                found[id_of(result)] = track
    return found


def set_by_person(result: Result) -> dict[str, Any]:
    """Return what a person set by a region: its words, its place in the outline, its locks."""
    kept = {key: result[key] for key in _OF_A_PERSON if key in result}
    meta = {k: part for k, part in without_note(result.get("meta")).items() if k != NOTE}
    return {**kept, "meta": meta} if meta else kept


def daughter_of(mother: Result, daughter: Result) -> dict[str, Any]:
    """Return the relation from an object that ended by a division to one that began by it."""
    ends = {"from_id": id_of(mother), "to_id": id_of(daughter)}
    return {"type": RELATION, **ends, "direction": "right"}


def carried(
    results: Iterable[Result],
    answered: Mapping[str, Sequence[str]],
    is_rewritten: Callable[[Result], bool],
) -> list[dict[str, Any]]:
    """Return what is kept beside an answer: the results that are not in the answer itself.

    Parameters
    ----------
    results
        Everything of the annotation.
    answered
        Id of a region to those of the regions that stand for it now.
    is_rewritten
        Whether a result of an answered region is in the answer again: its shape, its labels.
    """
    kept: list[dict[str, Any]] = []
    relations = []
    for result in results:
        if result.get("type") == RELATION:
            ends = [str(result.get(name, "")) for name in ("from_id", "to_id")]
            from_id, to_id = (next(iter(answered.get(end, [end])), end) for end in ends)
            relations.append({**result, "from_id": from_id, "to_id": to_id})
        elif id_of(result) not in answered:
            kept.append(dict(result))
        elif not is_rewritten(result):
            meta = {"meta": without_note(result["meta"])} if "meta" in result else {}
            kept += [{**result, **meta, "id": new} for new in answered[id_of(result)]]
    known = {id_of(result) for result in kept} | {n for new in answered.values() for n in new}
    return kept + [one for one in relations if {one["from_id"], one["to_id"]} <= known]


def beside(results: Iterable[Result], earlier: Sequence[Result]) -> list[dict[str, Any]]:
    """Return what earlier results have of other objects than these results."""
    ids = {id_of(one): track_of(one) for one in results}
    tracks = {*ids.values()} - {None}
    known = [id_of(one) for one in earlier if id_of(one) in ids or track_of(one) in tracks]
    return carried(earlier, {id_: [id_] if id_ in ids else [] for id_ in known}, lambda _: True)


def reparented(
    results: Iterable[Result], answered: Mapping[str, Sequence[str]]
) -> list[dict[str, Any]]:
    """Return results below the regions that stand for their parents now."""
    moved = {old: new[0] for old, new in answered.items() if new}
    return [
        {**one, "parentID": moved[one["parentID"]]} if one.get("parentID") in moved else dict(one)
        for one in results
    ]


def with_note(results: Iterable[Result], text: str) -> list[dict[str, Any]]:
    """Return regions as they are, each with a note beside what a person wrote there."""
    noted = []
    for result in results:
        noted.append(dict(result))
        if "id" in result:  # a relation has none
            meta, told = without_note(result.get("meta")), PREFIX + text
            note = {**note_of({"meta": meta}), _TOLD: told}
            noted[-1]["meta"] = {**meta, NOTE: note, "text": [*_texts(meta), told]}
    return noted


def without_note(meta: Any) -> dict[str, Any]:
    """Return a region's meta data without our note."""
    if not isinstance(meta, Mapping):
        return {}
    note = dict(note_of({"meta": meta}))
    told = str(note.pop(_TOLD, ""))
    persons = [_without(told, text) for text in _texts(meta)]
    made = {NOTE: note, "text": [text for text in persons if text != ""]}
    rest = {key: value for key, value in meta.items() if key not in made}
    return {**rest, **{key: value for key, value in made.items() if value}}


def _without(told: str, text: Any) -> Any:
    """Return a text without what we told, whatever a person has written beside it."""
    if not isinstance(text, str):
        return text
    if told and told in text:
        return text.replace(told, "").strip(" ,\n")
    return "" if not told and text.startswith(PREFIX) else text


def _texts(meta: Mapping[str, Any]) -> list[Any]:
    text = meta.get("text", [])
    return list(text) if isinstance(text, list) else [text]
