"""What hangs on a region by its id, and on whole tasks: it stays when the region is answered.

A region of an annotation is one result or several with the same id: its shape, its labels where
they are a control of their own, and attributes (Choices, TextArea, Number, Rating). Relations name
two ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sam2_plugins.labelstudio_backend.notes import without_note

RELATION = "relation"

Result = Mapping[str, Any]


def id_of(result: Result) -> str:
    """Return the id of a result's region."""
    return str(result.get("id", ""))


def daughter_of(mother: Result, daughter: Result) -> dict[str, Any]:
    """Return the relation from an object that ended by a division to one that began by it."""
    ends = {"from_id": id_of(mother), "to_id": id_of(daughter)}
    return {"type": RELATION, **ends, "direction": "right"}


def carried(
    results: Iterable[Result],
    answered: Mapping[str, Sequence[str]],
    is_rewritten: Callable[[Result], bool],
) -> list[dict[str, Any]]:
    """Return what goes with an answer: all that the answer does not itself say again.

    Parameters
    ----------
    results
        Everything of the annotation.
    answered
        Id of a region to those of the regions that stand for it now.
    is_rewritten
        Whether the answer says a result of an answered region again: its shape, its labels.
    """
    kept: list[dict[str, Any]] = []
    for result in results:
        if result.get("type") == RELATION:
            continue
        if id_of(result) not in answered:
            kept.append(dict(result))
        elif not is_rewritten(result):
            kept += [_renamed(result, new) for new in answered[id_of(result)]]
    known = {id_of(result) for result in kept} | {n for new in answered.values() for n in new}
    return kept + _relations(results, answered, known)


def region_of(results: Sequence[Result], id_: str) -> list[Result]:
    """Return all results of a region."""
    return [result for result in results if id_of(result) == id_]


def _renamed(result: Result, new: str) -> dict[str, Any]:
    renamed = {**result, "id": new}
    if "meta" in renamed:
        renamed["meta"] = without_note(renamed["meta"])
    return renamed


def _relations(
    results: Iterable[Result], answered: Mapping[str, Sequence[str]], known: set[str]
) -> list[dict[str, Any]]:
    found = []
    for result in results:
        if result.get("type") != RELATION:
            continue
        ends = [str(result.get(name, "")) for name in ("from_id", "to_id")]
        new = [next(iter(answered.get(end, [end])), end) for end in ends]
        if set(new) <= known:
            found.append({**result, "from_id": new[0], "to_id": new[1]})
    return found
