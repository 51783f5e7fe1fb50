"""The field of results of one movie: the labels in it, and a writer for new ones."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import fiftyone as fo

from sam2_plugins.core.masks import Masklet, ObjectId, ObjectMask
from sam2_plugins.core.tracking.doubt import DISOBEYED, Doubt, doubt_of, neighbours
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.fiftyone_plugin.documents import (
    ATTRIBUTES,
    OF_LINEAGE,
    OF_LOST,
    OUTDATED,
    PARENT,
    Given,
    MadeLabel,
    confirm,
    given_by_people,
    inherit,
    instance_of,
    keep_additions,
    labels_of,
    make_detection,
    make_lost,
    read_made,
    rename,
    set_outdated,
    value_of,
)
from sam2_plugins.fiftyone_plugin.footage import Footage
from sam2_plugins.fiftyone_plugin.marks import MARK, Cause, Mark, digest
from sam2_plugins.fiftyone_plugin.objects import Track, TrackedLabel, TrackedObject
from sam2_plugins.fiftyone_plugin.request import Request

MOST_FRAMES = 100
"""Frames that wait to be written at most: their labels are sent to the database at once."""

SECONDS = 5.0
"""After this time they are written even if they are fewer, so that little is lost by a kill."""


@dataclass(frozen=True)
class _Made:
    """A machine-made label, its frame, and its object."""

    frame: int
    id: str
    made: MadeLabel
    outdated: bool

    @property
    def instance(self) -> str:
        """Of the label; one without is an object of its own."""
        return self.made.instance or self.id


class Earlier:
    """The labels that earlier runs left in a movie.

    Attributes
    ----------
    by_people
        (frame, label) of the labels that people made or corrected.
    given
        By frame: what people gave to machine-made labels.
    missing
        Paths of their masks that are not there.
    tracks
        Of the machine-made labels.
    """

    def __init__(self, footage: Footage, request: Request, frame_size: tuple[int, int]) -> None:
        self._footage = footage
        self._fields = (request.output_field, request.lost_field)
        self.missing: list[str] = []
        self.given: dict[int, list[Given]] = defaultdict(list)
        self.by_people: list[tuple[int, Any]] = []
        labels: list[_Made] = []
        for name in self._fields:
            for frame, value in footage.read(name, beyond=True):
                for label in labels_of(value):
                    made = read_made(label, frame_size)
                    if made is not None:
                        path = value_of(label, "mask_path")
                        if made.mask is None and path and not Path(path).exists():
                            self.missing.append(path)
                        if made.mask is not None and (given := given_by_people(label)):
                            self.given[frame].append((made.mask, given))
                        labels.append(_Made(frame, label.id, made, OUTDATED in label.tags))
                    elif footage.shows(frame):
                        self.by_people.append((frame, label))
        gathered = _gather(labels)
        self.tracks = [_track_of(one) for one in gathered]
        self._labels = {id(t): group for t, group in zip(self.tracks, gathered, strict=True)}
        self._twice = {id_ for group in gathered for id_ in _twice(group)}

    @property
    def problems(self) -> list[str]:
        """A line on the masks that are not there: a person may have painted into some of them."""
        if not self.missing:
            return []
        return [
            f"Masks of earlier runs were not there ({len(self.missing)}, such as "
            f"{self.missing[0]}): those of this run's frames were made anew. What was painted into "
            "such a file since the last run is in that file only."
        ]

    def masklets(
        self,
        objects: Iterable[TrackedObject],
        causes: Mapping[str, Cause],
        reverse: Callable[[str, int], bool | None],
    ) -> list[Masklet]:
        """Masks that still follow from the prompts, for `VideoTracker.restore`.

        Parameters
        ----------
        reverse
            Whether a run reaches an object's frame in reverse; None if it does not care.
        """
        found = []
        for one in objects:
            cause, name = causes[one.who.instance], one.who.instance
            masks = {
                label.frame: label.made.mask
                for label in self._of(one.track)
                if label.made.mask is not None
                and label.made.mark.cause in cause
                and reverse(name, label.frame) in (None, label.made.mark.cause == cause.on(True))
            }
            if masks:
                found.append(Masklet(name, masks=masks))
        return found

    def outdated(
        self, objects: Iterable[TrackedObject], causes: Mapping[str, Cause]
    ) -> dict[str, set[int]]:
        """Instance to the frames whose masks follow from something else than the prompts.

        Those beyond a clip may follow from prompts there: they count if they are of the same run as
        some within.
        """
        found = {}
        for one in objects:
            others = [
                (label.frame, label.made.mark.cause.removesuffix("r"))
                for label in self._of(one.track)
                if label.made.mark.cause not in causes[one.who.instance]
            ]
            within = {cause for frame, cause in others if self._footage.shows(frame)}
            found[one.who.instance] = {frame for frame, cause in others if cause in within}
        return found

    def settle(self, objects: Sequence[TrackedObject], causes: Mapping[str, Cause]) -> None:
        """Give the tracks the names of their objects, and make corrections all a person's.

        This joins tracks again whose labels were separated when samples were copied, and removes
        duplicates on a frame from merged datasets.
        """
        self._remove(
            [one for track in self.tracks for one in self._of(track) if one.id in self._twice]
        )
        owners: dict[str, tuple[TrackedLabel, Cause | None, int | None]] = {}
        corrected = {
            label.id: frame
            for frame, label in self.by_people
            if MARK in label.field_names and label[MARK]
        }
        frames = {*corrected.values()}
        owned = {id(one.track): one.who for one in objects}
        for track in self.tracks:
            if track.index is None:
                continue
            own = TrackedLabel(track.instance, track.label, track.index)
            who = owned.get(id(track), own)
            cause = causes.get(who.instance)
            for label in self._of(track):
                owners[label.id] = (who, cause, track.index)
                names = (label.made.instance, label.made.index, label.made.label)
                current = cause is not None and label.made.mark.cause in cause
                if names != (who.instance, who.index, who.label) or (label.outdated and current):
                    frames.add(label.frame)

        def settle(_: int, label: Any) -> bool:
            if label.id in corrected:
                return confirm(label)
            if label.id not in owners:
                return False
            who, cause, index = owners[label.id]
            mark = Mark.parse(label[MARK])
            current = cause is not None and mark is not None and mark.cause in cause
            changes = rename(label, who, index), current and set_outdated(label, False)
            return any(changes)

        change(self._footage, self._fields, frames, settle)

    def remove(
        self, tracks: Sequence[Track], where: Callable[[int], bool] = lambda frame: True
    ) -> None:
        """Delete the labels of tracks from the database, on all frames or some."""
        labels = [label for track in tracks for label in self._of(track)]
        self._remove([label for label in labels if where(label.frame)])

    def _remove(self, labels: Sequence[_Made]) -> None:
        gone = {label.id for label in labels}

        def without(_: int, values: dict[str, Any]) -> dict[str, Any]:
            return {
                name: _with(value, [one for one in labels_of(value) if one.id not in gone])
                for name, value in values.items()
                if any(one.id in gone for one in labels_of(value))
            }

        self._footage.revise(self._fields, {label.frame for label in labels}, without)

    def _of(self, track: Track | None) -> list[_Made]:
        return [] if track is None else self._labels[id(track)]


def change(
    footage: Footage,
    fields: Iterable[str],
    frames: Collection[int],
    change_one: Callable[[int, Any], bool],
) -> None:
    """Change labels, and write the frames where a function has changed one."""

    def revise_one(frame: int, values: dict[str, Any]) -> dict[str, Any]:
        changed = {}
        for name, value in values.items():
            changes = [change_one(frame, label) for label in labels_of(value)]
            if any(changes):
                changed[name] = value
        return changed

    footage.revise([*fields], frames, revise_one)


def _gather(labels: Sequence[_Made]) -> list[list[_Made]]:
    """Group machine-made labels by track.

    By instance; where each label has one of its own, as in copies of samples, by what they follow
    from and their index, and then by their class and index.
    """
    by_instance: dict[str, list[_Made]] = defaultdict(list)
    for label in labels:
        by_instance[label.instance].append(label)
    whole = [group for group in by_instance.values() if len(group) > 1]
    torn = [group for group in by_instance.values() if len(group) == 1]
    torn = _join(torn, lambda one: (one.made.mark.cause.removesuffix("r"), one.made.index))
    return whole + _join(torn, lambda one: (one.made.label, one.made.index))


def _join(
    groups: Iterable[list[_Made]], key: Callable[[_Made], tuple[Any, ...]]
) -> list[list[_Made]]:
    """Join groups that share a key, and no frame."""
    alike: dict[tuple[Any, ...], list[list[_Made]]] = defaultdict(list)
    for group in groups:
        alike[key(group[0])].append(group)
    found = []
    for parts in alike.values():
        joined = list(chain.from_iterable(parts))
        apart = len({one.frame for one in joined}) == len(joined)
        found += [joined] if apart else parts
    return found


def _twice(labels: Iterable[_Made]) -> Iterator[str]:
    """Ids of the labels of a track that are on a frame beside another one of it."""
    frames = set()
    for label in labels:
        if label.frame in frames:
            yield label.id
        frames.add(label.frame)


def _track_of(labels: Sequence[_Made]) -> Track:
    def most(values: Iterable[Any]) -> Any:
        return Counter(values).most_common(1)[0][0]

    masks = {one.frame: one.made.mask for one in labels if one.made.mask is not None}
    return Track(
        most(one.instance for one in labels),
        most(one.made.label for one in labels),
        most(one.made.index for one in labels),
        masks,
        all(one.made.mark.unprompted for one in labels),
    )


@dataclass(frozen=True)
class Found:
    """A mask that the tracker found, whether in reverse, and how doubtful it is.

    Attributes
    ----------
    parent
        Index of the object of which it is a daughter.
    """

    mask: ObjectMask
    reverse: bool
    doubt: Doubt
    parent: int | None = None

    @classmethod
    def of(
        cls,
        tracker: VideoTracker,
        masks: Mapping[ObjectId, ObjectMask],
        frame: int,
        obj: ObjectId,
        prompted: Sequence[int],
        reverse: bool = False,
        parent: int | None = None,
    ) -> Found:
        """Judge one of the masks of a frame by the core's rule; prompted frames are sure."""
        mask = masks[obj]
        if frame in prompted:
            unmet = tracker.unmet_clicks(frame, obj)
            return cls(mask, False, DISOBEYED if unmet else Doubt(), parent)
        _, nearest = neighbours(frame, prompted)
        before = tracker.mask(frame + (1 if reverse else -1), obj)
        others = (other for one, other in masks.items() if one != obj)
        doubt = doubt_of(mask, before, tracker.mask(nearest, obj), others)
        return cls(mask, reverse, doubt, parent)


class ResultWriter:
    """Writes masks to the database, some frames at once; a context manager.

    Parameters
    ----------
    causes
        Instance to what the masks of an object follow from.
    by_people
        (instance, frame) of what has a person's mask in this very field.
    outdated
        Instance to frames with masks that follow from something else. Those that were not
        replaced when it ends are tagged, so that no mixture of old and new masks is unmarked.
    """

    def __init__(
        self,
        footage: Footage,
        request: Request,
        objects: Sequence[TrackedObject],
        causes: Mapping[str, Cause],
        by_people: Collection[tuple[ObjectId, int]],
        outdated: Mapping[str, set[int]],
    ) -> None:
        self._footage = footage
        self._request = request
        self._who = {one.who.instance: one.who for one in objects}
        self._causes = causes
        self._keyframes = {
            (one.who.instance, prompt.frame) for one in objects for prompt in one.prompts
        }
        self._by_people = by_people
        self._outdated = outdated
        self._waiting: dict[int, dict[str, Found]] = {}
        self._given: Mapping[int, Sequence[Given]] = {}
        self._declared: set[str] = set()
        self._written = time.monotonic()

    def inherit(self, earlier: Earlier) -> None:
        """Let new labels get what people gave to those that they replace, whatever their names."""
        self._given = earlier.given

    def welcome(self, who: TrackedLabel) -> None:
        """Add an object that was found during the run."""
        self._who[who.instance] = who

    def write(self, frame: int, masks: Mapping[str, Found]) -> None:
        """Add the masks of a frame, by instance."""
        self._waiting.setdefault(frame, {}).update(masks)
        for instance in masks:
            self._outdated[instance].discard(frame)
        late = time.monotonic() - self._written > SECONDS
        if late or len(self._waiting) >= MOST_FRAMES:
            self.flush()

    def flush(self) -> None:
        """Write the buffered masks.

        The labels in the database are read before: those of people stay, also those that were made
        or corrected while the tracker was at work, and so do those of other objects.
        """
        masks = [one.mask for found in self._waiting.values() for one in found.values()]
        shown, lost = self._request.output_field, self._request.lost_field
        if masks:
            more = OF_LINEAGE if self._request.all_objects else {}
            self._declare(shown, fo.Detections, {**ATTRIBUTES, **more})
        if not all(mask.visible for mask in masks):
            self._declare(lost, fo.Classifications, OF_LOST)

        def revise_one(frame: int, values: dict[str, Any]) -> dict[str, Any]:
            kept, replaced = self._split(frame, values[shown])
            still, found = self._split(frame, values[lost])
            by_people = {instance_of(label) for label in (*kept, *still)}
            for instance, one in self._waiting[frame].items():
                if instance in by_people or (instance, frame) in self._by_people:
                    continue
                fresh = self._label(frame, instance, one)
                inherit(fresh, one.mask, self._given.get(frame, ()))
                old = replaced.get(instance) or found.get(instance)
                if old is not None:
                    keep_additions(fresh, old)
                (kept if one.mask.visible else still).append(fresh)
            revised = {shown: _with(values[shown] or fo.Detections(), kept)}
            if still or values[lost] is not None:
                revised[lost] = _with(values[lost] or fo.Classifications(), still)
            return revised

        self._footage.revise((shown, lost), [*self._waiting], revise_one)
        self._waiting.clear()
        self._written = time.monotonic()

    def _declare(self, name: str, kind: type, attributes: Mapping[str, Any]) -> None:
        """Make a field once: where somebody deletes it later, what was written there is gone."""
        if name not in self._declared:
            self._footage.fields.declare(name, kind, attributes)
            self._declared.add(name)

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, *reason: object) -> None:
        self.flush()
        frames = {frame for left in self._outdated.values() for frame in left}

        def outdate(frame: int, label: Any) -> bool:
            made = MARK in label.field_names and label[MARK]
            left = self._outdated.get(instance_of(label) or "", ())
            return bool(made) and frame in left and set_outdated(label, True)

        fields = (self._request.output_field, self._request.lost_field)
        change(self._footage, fields, frames, outdate)

    def _split(self, frame: int, value: Any) -> tuple[list[Any], dict[str, Any]]:
        """Labels that stay, of people and of objects without a new mask, and those that do not."""
        masks = self._waiting[frame]
        size = next(iter(masks.values())).mask.frame_size
        kept, replaced = [], {}
        for label in labels_of(value):
            instance = instance_of(label)
            if instance in masks and read_made(label, size) is not None:
                replaced[instance] = label
            else:
                kept.append(label)
        return kept, replaced

    def _label(self, frame: int, instance: str, one: Found) -> Any:
        who, cause = self._who[instance], self._causes[instance].on(one.reverse)
        if not one.mask.visible:
            return make_lost(who, one.mask, cause)
        folder = self._request.masks_folder
        path = None if folder is None else folder / _mask_name(self._footage, who, frame, one.mask)
        keyframe = (instance, frame) in self._keyframes
        made = make_detection(who, one.mask, cause, keyframe, path, one.doubt)
        if one.parent is not None:
            made[PARENT] = one.parent
        return made


def _with(value: Any, labels: list[Any]) -> Any:
    """Return a field's value, whatever people wrote beside its labels, with other labels."""
    value[value._LABEL_LIST_FIELD] = labels
    return value


def _mask_name(footage: Footage, who: TrackedLabel, frame: int, mask: ObjectMask) -> Path:
    """Name a mask by its pixels, too: labels of other fields and clones may be of the others."""
    name = f"{frame + 1:06d}-{who.index}-{who.instance[:8]}-{digest(mask)}.png"
    return Path(footage.sample_id) / name
