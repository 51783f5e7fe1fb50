"""Groups labels by object, and finds the earlier track that each object goes on with.

Labels are joined by their instance, or by class and index; a label without a class joins the only
class of its index. A label with neither instance nor index is an object of its own. An object goes
on with the track that an earlier run made of it, which is found by instance, by index, or else by
overlap on a prompted frame: names and ids change when people curate a dataset, and places do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, count, groupby

from sam2_plugins.core.files import digest_of
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.memory.kalman import box_iou
from sam2_plugins.fiftyone_plugin.labels import Cue, merge_cues

_SAME_INSTANCE, _SAME_CLASS_AND_INDEX, _OVERLAP, _SAME_INDEX = 8.0, 4.0, 3.0, 2.0
_ENOUGH_OVERLAP = 0.5
"""Evidence that an object and a track are the same; it is added up, and the smallest is enough."""


@dataclass(frozen=True)
class PromptLabel:
    """One label as a prompt, and of which object it is.

    Attributes
    ----------
    frame
        0-based.
    cue
        None if the label cannot be read; it still names its object.
    id
        Of the label, or a text that is unique to it.
    instance
        Id of FiftyOne's instance, if it has one.
    field
        Where it is; "" in the field of results.
    chosen
        Whether it is a prompt of this run; if not, it only shows which objects there are.
    """

    frame: int
    cue: Cue | None
    id: str
    label: str | None = None
    index: int | None = None
    instance: str | None = None
    field: str = ""
    chosen: bool = True


@dataclass
class Track:
    """The labels that an earlier run made for one object.

    Attributes
    ----------
    instance, label, index
        As most of its labels have them.
    masks
        Frame to mask, empty where the object was not found.
    unprompted
        Whether no prompt made it, but a run for all objects.
    """

    instance: str
    label: str | None
    index: int | None
    masks: dict[int, ObjectMask] = field(default_factory=dict)
    unprompted: bool = False

    @property
    def name(self) -> str:
        """What a person calls it."""
        return object_name(self.label, self.index)


@dataclass(frozen=True)
class TrackedLabel:
    """One object: how its labels are named.

    Attributes
    ----------
    instance
        24 hexadecimal digits; the object's id in the core.
    index
        As FiftyOne numbers the objects of a sample.
    """

    instance: str
    label: str | None
    index: int

    @property
    def name(self) -> str:
        """What a person calls it."""
        return object_name(self.label, self.index)


@dataclass(frozen=True)
class TrackedObject:
    """An object with all that is known of it.

    Attributes
    ----------
    prompts
        In order of frame; none if none of its labels is chosen and can be read.
    track
        What an earlier run made of it.
    """

    who: TrackedLabel
    prompt_labels: tuple[PromptLabel, ...]
    prompts: tuple[Prompt, ...]
    track: Track | None = None


def find_objects(
    prompt_labels: Sequence[PromptLabel], tracks: Sequence[Track], sample_id: str
) -> list[TrackedObject]:
    """Group labels by object, and find the track of each.

    Parameters
    ----------
    sample_id
        Makes the instances that have to be invented those of this sample.
    """
    prompt_labels = list(_told_apart(prompt_labels, tracks))
    places = {id(one): place for place, one in enumerate(prompt_labels)}
    groups = [
        (sorted(group, key=lambda one: places[id(one)]), track)
        for group, track in _with_their_tracks(_by_name(prompt_labels), tracks)
    ]
    groups.sort(key=lambda pair: places[id(pair[0][0])])
    owned = {id(track) for _, track in groups}
    taken = {track.instance for track in tracks if id(track) not in owned}
    objects = []
    for (group, track), number in zip(groups, _number(groups, tracks), strict=True):
        instance = _instance_of(group, track, sample_id, taken)
        taken.add(instance)
        labels = (one.label for one in group if one.label is not None)
        who = TrackedLabel(instance, next(labels, track.label if track else None), number)
        prompts = tuple(_prompts_of(group, instance))
        objects.append(TrackedObject(who, tuple(group), prompts, track))
    return objects


def name_clashes(
    prompt_labels: Iterable[PromptLabel], objects: Iterable[TrackedObject]
) -> Iterator[str]:
    """A line for each label that has the name of another object on its frame, and for boxes that
    are not used: of several boxes of one object on a frame, only the last is.
    """
    named = {one.id: one for one in prompt_labels if one.index is not None}
    for found in objects:
        boxes: dict[int, list[tuple[float, float, float, float]]] = {}
        for one in found.prompt_labels:
            if one.chosen and one.field and one.cue is not None and one.cue.box is not None:
                boxes.setdefault(one.frame, []).append(one.cue.box)
        for frame, (*others, last) in boxes.items():
            if any(box_iou(box, last) < _ENOUGH_OVERLAP for box in others):
                yield (
                    f"frame {frame + 1}, {found.who.name}: its boxes lie apart, and only the last "
                    "is used. Give each object an instance or an index of its own, or draw one "
                    "box around all its parts."
                )
        for one in found.prompt_labels:
            if one.chosen and one.index is None and one.id in named:
                name = object_name(one.label, named[one.id].index)
                yield (
                    f"frame {one.frame + 1}, {name} in {one.field!r}: another label there has this "
                    f"name, too; it is tracked as {found.who.name}. Give it an index of its own."
                )


def masks_by_people(objects: Iterable[TrackedObject]) -> dict[tuple[ObjectId, int], ObjectMask]:
    """(object, frame) pairs that have a person's mask in the field of results."""
    return {
        (one.who.instance, label.frame): label.cue.mask
        for one in objects
        for label in one.prompt_labels
        if not label.field and label.cue is not None and label.cue.mask is not None
    }


def object_name(label: str | None, index: int | None) -> str:
    """Return what a person calls an object."""
    return f"{label or 'object'} {'' if index is None else index}".strip()


def _prompts_of(group: Sequence[PromptLabel], instance: str) -> Iterator[Prompt]:
    """Prompts in order of frame; on each the correction comes last: a mask replaces all before."""
    chosen = [one for one in group if one.chosen and one.cue is not None]
    chosen.sort(key=lambda one: (one.frame, not one.field))
    for (frame, _), labels in groupby(chosen, key=lambda one: (one.frame, not one.field)):
        yield from merge_cues(frame, instance, [one.cue for one in labels if one.cue is not None])


def _told_apart(
    prompt_labels: Iterable[PromptLabel], tracks: Sequence[Track]
) -> Iterator[PromptLabel]:
    """Take the index from a label that is of another object than one of its name on its frame.

    Merged datasets number their objects from 1, each of them. Boxes are of different objects if
    they lie apart; masks, of which an object may have several, if each has a track of its own.
    """
    known: dict[object, list[tuple[Cue, int | None]]] = {}
    for one in prompt_labels:
        cue = one.cue
        if one.index is None or one.instance is not None or cue is None or cue.points:
            yield one
            continue
        there = ((id(track), track.masks.get(one.frame)) for track in tracks)
        fits = (t for t, mask in there if mask and _overlap(cue, mask) >= _ENOUGH_OVERLAP)
        mine = next(fits, None)
        others = known.setdefault((one.frame, one.field, one.label, one.index), [])
        if others and all(_are_two(cue, mine, *other) for other in others):
            yield replace(one, index=None)
        else:
            others.append((cue, mine))
            yield one


def _are_two(cue: Cue, track: int | None, other: Cue, its_track: int | None) -> bool:
    if cue.box is not None and other.box is not None:
        return box_iou(cue.box, other.box) < _ENOUGH_OVERLAP
    return track is not None and its_track is not None and track != its_track


def _by_name(prompt_labels: Sequence[PromptLabel]) -> list[list[PromptLabel]]:
    """Group prompt_labels by instance, or by class and index."""
    classes: dict[int, set[str]] = {}
    for one in prompt_labels:
        if one.index is not None and one.label is not None:
            classes.setdefault(one.index, set()).add(one.label)

    def number(one: PromptLabel) -> tuple[int, str | None] | None:
        if one.index is None:
            return None
        known = classes.get(one.index, set())
        return one.index, next(iter(known)) if one.label is None and len(known) == 1 else one.label

    named: dict[object, list[PromptLabel]] = {}
    for one in prompt_labels:
        named.setdefault(one.instance or number(one) or one.id, []).append(one)
    groups = list(named.values())
    for name in dict.fromkeys(filter(None, map(number, prompt_labels))):
        alike = [group for group in groups if any(number(one) == name for one in group)]
        linked = [group for group in alike if any(one.instance for one in group)]
        if any(_meet(one, other) for one, other in combinations(linked, 2)):
            alike = [group for group in alike if not any(group is one for one in linked[1:])]
        groups = [group for group in groups if not any(group is one for one in alike)]
        groups.append([one for group in alike for one in group])
    return groups


def _with_their_tracks(
    groups: Sequence[list[PromptLabel]], tracks: Sequence[Track]
) -> list[tuple[list[PromptLabel], Track | None]]:
    """Give each track to the object that goes on with it, the best first.

    A correction in the field of results without instance or index is recognised by its place, and
    joins the object of the track that it corrects.
    """
    pairs = [
        (evidence, g, t)
        for g, group in enumerate(groups)
        for t, track in enumerate(tracks)
        if (evidence := _evidence(group, track))
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    members: dict[int, list[PromptLabel]] = {}
    given: set[int] = set()
    for _, g, t in pairs:
        if g not in given and t not in members:
            members[t] = list(groups[g])
            given.add(g)
    for _, g, t in pairs:
        if g not in given and _corrects(members[t], groups[g]):
            members[t] += groups[g]
            given.add(g)
    found: list[tuple[list[PromptLabel], Track | None]] = [
        (group, None) for g, group in enumerate(groups) if g not in given
    ]
    return found + [(group, tracks[t]) for t, group in members.items()]


def _corrects(group: Sequence[PromptLabel], other: Sequence[PromptLabel]) -> bool:
    """Whether one of two groups has corrections only, and they have no frame in common."""
    corrections = (all(not one.field for one in part) for part in (group, other))
    return any(corrections) and not _meet(group, other)


def _meet(group: Sequence[PromptLabel], other: Sequence[PromptLabel]) -> bool:
    """Whether two groups have labels on one frame of one field."""
    places = {(one.frame, one.field) for one in group}
    return any((one.frame, one.field) in places for one in other)


def _evidence(group: Sequence[PromptLabel], track: Track) -> float:
    """Add up the evidence that an object and a track are the same; 0 if it is not enough."""
    overlaps = [
        _overlap(one.cue, track.masks[one.frame])
        for one in group
        if one.cue is not None and one.frame in track.masks
    ]
    overlap = max(overlaps, default=None)
    total = overlap or 0.0
    if any(one.instance == track.instance for one in group):
        total += _SAME_INSTANCE
    if any((one.index, one.label) == (track.index, track.label) for one in group):
        total += _SAME_CLASS_AND_INDEX if track.index is not None else 0.0
    elif any(one.index is not None and one.index == track.index for one in group):
        total += 0.0 if overlap == 0 else _SAME_INDEX
    if overlap is not None and overlap >= _ENOUGH_OVERLAP:
        total += _OVERLAP
    return total if total >= _SAME_INDEX else 0.0


def _overlap(cue: Cue, mask: ObjectMask) -> float:
    """Return how well a label fits a mask, 0 to 1."""
    if cue.mask is not None:
        return cue.mask.iou_with(mask)
    if mask.box is None:
        return 0.0
    if cue.box is not None:
        return box_iou(cue.box, mask.box)
    pixels = mask.to_array()
    height, width = mask.frame_size
    inside = [
        bool(pixels[min(max(round(y), 0), height - 1), min(max(round(x), 0), width - 1)])
        for x, y in cue.points
    ]
    return float(inside == [label == 1 for label in cue.point_labels])


def _instance_of(
    group: Sequence[PromptLabel], track: Track | None, sample_id: str, taken: set[str]
) -> str:
    """The instance of the track, or one that people gave, or a new one.

    A new one is the same in every run, so that a correction finds its object again.
    """
    given = [one.instance for one in group if one.instance is not None]
    if track is not None and (track.instance in given or not given):
        given = [track.instance, *given]
    first = group[0]
    name = (first.id,) if first.index is None else (first.index, first.label)
    invented = (digest_of(repr((sample_id, *name, *e)), 24) for e in ((), (first.id,)))
    return next(one for one in (*given, *invented) if one not in taken)


def _number(
    groups: Sequence[tuple[Sequence[PromptLabel], Track | None]], tracks: Sequence[Track]
) -> list[int]:
    """Give every object the index that its labels have, or that it had before, or a free one."""
    own = [next((x.index for x in group if x.index is not None), None) for group, _ in groups]
    known = [
        track.index if number is None and track is not None and track.index not in own else number
        for number, (_, track) in zip(own, groups, strict=True)
    ]
    taken = {*known, *(track.index for track in tracks)}
    free = (number for number in count(1) if number not in taken)
    return [next(free) if number is None else number for number in known]
