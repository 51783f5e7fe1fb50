"""Counts the acts by which a person would have to correct a result.

An act mends an object from a frame on, as it does in a tracker. So what lasts for several frames
counts once, and again if it comes again:

    add       a true object is missed
    delete    an object of the result stands for nothing
    split     a true object is merged into the object of another one
    relink    a true object goes on under another label, or begins under one that was another's
    divide    a true division is not in the result
    unite     a division of the result is none, or not at that time

A missed object whose own label lies beside it is prompted anew, which takes the label along:
"add", and no "delete". Where one label covers several true objects, it is that one's which had it
before, and the others are merged into it; they may come out of it under their old labels at no
cost. Daughters under the label of their mother are mended by dividing: neither "split" nor
"relink". What has one parent and no sibling is the same object. Outlines are not counted: SEG
tells of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sam2_plugins.core.datasets.ctc import Track
from sam2_plugins.core.evaluation.matching import TrackMatch, objects_of

Act: TypeAlias = Literal["add", "delete", "split", "relink", "divide", "unite"]
ACTS: tuple[Act, ...] = ("add", "delete", "split", "relink", "divide", "unite")


@dataclass(frozen=True)
class Correction:
    """One act.

    Attributes
    ----------
    act
        What has to be done.
    frame
        From where on.
    label
        To which: an object of the result for "delete" and "unite", otherwise a true one.
    """

    act: Act
    frame: int
    label: int


def corrections(
    match: TrackMatch, missed_divisions: Collection[int], false_divisions: Collection[int]
) -> list[Correction]:
    """List the corrections by frame; see the module for the kinds.

    Parameters
    ----------
    missed_divisions, false_divisions
        Mothers: true ones, and those of the result.
    """
    true_object, our_object = objects_of(match.truth), objects_of(match.result)
    acts = list(_within_frames(match, true_object, our_object))
    acts += [("divide", match.truth[t].end, true_object[t]) for t in missed_divisions]
    acts += [("unite", match.result[t].end, our_object[t]) for t in false_divisions]
    found = [Correction(act, match.numbers[position], label) for act, position, label in acts]
    return sorted(found, key=lambda one: (one.frame, ACTS.index(one.act), one.label))


def _within_frames(
    match: TrackMatch, true_object: Mapping[int, int], our_object: Mapping[int, int]
) -> Iterator[tuple[Act, int, int]]:
    mother = _mothers(match.truth, true_object)
    our_mother = _mothers(match.result, our_object)
    label_of: dict[int, int] = {}  # true object to the label that it had last
    owner: dict[int, int] = {}  # label to the true object that had it last
    before: set[tuple[Act, int]] = set()  # what was wrong on the frame before
    for position, frame in enumerate(match.frames):
        standing = {true_object[t]: our_object[r] for t, r in frame.standing.items()}
        missed = {true_object[t] for t in frame.truth} - standing.keys()
        false = {our_object[r] for r in frame.result} - set(standing.values())
        false -= {label_of[true] for true in missed if true in label_of}
        holder: dict[int, int] = {}  # label to the one true object whose it is
        for true, label in standing.items():
            if label not in holder or owner.get(label) == true:
                holder[label] = true
        merged = {
            true
            for true, label in standing.items()
            if true != holder[label] and label != label_of.get(mother[true])
        }
        for label, true in holder.items():
            if true in label_of:
                explained = (label_of[true], label_of.get(mother[true]))
                switched = label not in explained and our_mother[label] != label_of[true]
            else:
                switched = owner.get(label, true) not in (true, mother[true])
            if switched:
                yield "relink", position, true
        label_of.update({true: label for label, true in holder.items()})
        owner.update(holder)
        wrong: set[tuple[Act, int]] = {
            *(("add", true) for true in missed),
            *(("delete", label) for label in false),
            *(("split", true) for true in merged),
        }
        yield from ((act, position, one) for act, one in wrong - before)
        before = wrong


def _mothers(tracks: Mapping[int, Track], objects: Mapping[int, int]) -> dict[int, int]:
    """Object to the one that it was divided from; 0 if it was not."""
    return {name: objects.get(tracks[name].parent, 0) for name in objects.values()}
