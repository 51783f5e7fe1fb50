"""What is tracked: videos, clips and image sequences, with the labels on their frames.

Frames are 0-based here, as in the core; FiftyOne's frame numbers begin with 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from functools import reduce
from typing import Any, ClassVar, TypeAlias

import fiftyone.core.media as fom
from fiftyone import DatasetView
from fiftyone.core.odm import load_dataset, serialize_value

from sam2_plugins.core.frames import FrameSource, open_frames
from sam2_plugins.fiftyone_plugin.fields import FootageError as FootageError
from sam2_plugins.fiftyone_plugin.fields import FrameFields, find_field

FRAMES = "frames."

OF_SAMPLES = {
    *("Select", "SelectBy", "Exclude", "ExcludeBy", "Limit", "Skip", "Take", "Shuffle", "SortBy"),
    *("Match", "MatchTags", "MatchLabels", "Exists", "SortBySimilarity", "GeoNear", "GeoWithin"),
    *("GroupBy", "SelectGroupSlices", "SelectGroups", "ExcludeGroups"),
    *("SelectFields", "ExcludeFields", "ToFrames", "ToClips"),
}
"""Stages of a view that choose samples, and not among their labels."""


Revise: TypeAlias = "Callable[[int, dict[str, Any]], Mapping[str, Any]]"
"""Takes a frame, and name to value of some of its fields; returns those that are to be set."""

Changes: TypeAlias = "dict[int, tuple[datetime | None, datetime]]"
"""Frame to when it had been changed before, if the database knew it, and when it was now."""


@dataclass(frozen=True)
class Footage(ABC):
    """One movie of a dataset.

    Attributes
    ----------
    dataset
        Where the labels are; in a grouped one, in any slice.
    view
        Of the dataset; its filters choose the labels that are prompts.
    name
        For messages.
    ids
        Of its sample, or of its images in order.
    files
        Paths of what is opened.
    span
        First and last wanted frame, both included; None: to the end.
    """

    media_type: ClassVar[str]

    dataset: Any
    view: Any
    name: str
    ids: tuple[str, ...] = field(repr=False)
    files: tuple[str, ...] = field(repr=False)
    span: tuple[int, int | None] = (0, None)

    @property
    def sample_id(self) -> str:
        """Of the video, or of the first image."""
        return self.ids[0]

    @property
    def fields(self) -> FrameFields:
        """The fields of its frames."""
        return FrameFields(self.dataset, self.media_type == fom.VIDEO)

    @abstractmethod
    def fill_metadata(self, frames: FrameSource) -> None:
        """Let FiftyOne's player know the frames of a video, where ffprobe has not."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the id of the dataset, which another process reads from the same database."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        values |= {name: address(values[name]) for name in ("dataset", "view")}
        return _arrive, (type(self), values)

    def open(self) -> FrameSource:
        """Open the frames.

        Raises
        ------
        FrameSourceError
            If they cannot be read.
        """
        return open_frames(self.files[0] if self.media_type == fom.VIDEO else list(self.files))

    def require_there(self) -> None:
        """Check that nobody has deleted it, or images of it.

        Raises
        ------
        FootageError
            If so.
        """
        try:
            there = len(self.samples.select(self.ids))
        except ValueError as error:  # this is what FiftyOne says of a deleted dataset
            raise FootageError("Its dataset was deleted meanwhile.") from error
        if there < len(self.ids):
            raise FootageError(
                f"{len(self.ids) - there} of its samples were deleted meanwhile. Run again for the "
                "rest."
            )

    def shows(self, frame: int) -> bool:
        """Whether labels of a frame are wanted."""
        first, last = self.span
        return frame >= first and (last is None or frame <= last)

    def hidden(self) -> Collection[int]:
        """Frames of which the view leaves out all labels."""
        return ()

    def range_of(
        self, first: int | None, last: int | None, length: int | None
    ) -> tuple[int | None, int | None]:
        """Return the wanted frames within its own, from 0, both included; None: to its end.

        Parameters
        ----------
        first, last
            Wanted frame numbers, from 1.

        Raises
        ------
        FootageError
            If it has none of them.
        """
        begin, end = self.span
        if length is not None:
            end = length - 1 if end is None else min(length - 1, end)
        if first is not None and end is not None and first - 1 > end:
            raise FootageError(
                f"The first frame is to be {first}, and it ends with frame {end + 1}."
            )
        if last is not None and last - 1 < begin:
            raise FootageError(
                f"The last frame is to be {last}, and it begins with frame {begin + 1}."
            )
        start = max(begin, (first or 1) - 1)
        stop = self.span[1] if last is None else last - 1
        if stop is not None and end is not None:
            stop = min(stop, end)
        return start or None, stop

    def read(
        self,
        field_name: str,
        frames: Sequence[int] | None = None,
        *,
        filtered: bool = False,
        beyond: bool = False,
    ) -> Iterator[tuple[int, Any]]:
        """Yield (frame, value) of a field, where it has one.

        Parameters
        ----------
        filtered
            As the view shows it.
        beyond
            Also of frames of the video that the view does not show.
        """
        if find_field(self.fields.schema(), field_name) is not None:
            source = self.view if filtered else self.samples
            for frame, value in self._values(source, field_name, frames):
                if value is not None and (beyond or self.shows(frame)):
                    yield frame, value

    @abstractmethod
    def _values(
        self, source: Any, field_name: str, frames: Sequence[int] | None
    ) -> Iterable[tuple[int, Any]]:
        """Read a field from the database, not more than wanted: (frame, value), in order."""

    @abstractmethod
    def write(self, field_name: str, values: Mapping[int, Any]) -> None:
        """Set a field of numbers on frames. Frames that are not known yet are added."""

    def revise(self, names: Sequence[str], frames: Collection[int], revise_one: Revise) -> Changes:
        """Set fields of labels by what they hold. Frames that are not known yet are added.

        A frame that somebody else changes between reading and writing is read again: nothing that
        people write in the App, or other runs, is lost.

        Raises
        ------
        FootageError
            If somebody has renamed or deleted such a field, or samples.
        """
        changes: Changes = {}
        left = sorted(frames)
        while left:
            self.require_there()
            known = self._documents(left)
            self._add_frames([frame for frame in left if frame not in known])
            documents = self._documents(left)
            before = {name: dict(self.read(name, left, beyond=True)) for name in names}
            retry, written = [], set()
            for frame, found in documents.items():
                values = revise_one(frame, {name: before[name].get(frame) for name in names})
                when = self._replace(found, values) if values else None
                if when is not None:
                    changes[frame] = found.get("last_modified_at") if frame in known else None, when
                elif values:
                    retry.append(frame)
                written |= {*values}
            self._take_back(written)
            self._reload([found["_id"] for found in documents.values()])
            left = retry
        return changes

    def _take_back(self, names: Collection[str]) -> None:
        """Remove fields that were renamed or deleted: FiftyOne reads no frame with unknown ones.

        Raises
        ------
        FootageError
            If there are such.
        """
        if gone := self.fields.gone(names):
            self._collection.update_many(self._own, {"$unset": dict.fromkeys(gone, "")})
            raise FootageError(
                f"{', '.join(map(repr, gone))} was renamed or deleted meanwhile. Run again."
            )

    @abstractmethod
    def _add_frames(self, frames: Sequence[int]) -> None:
        """Add those that the database does not know yet."""

    @abstractmethod
    def _documents(self, frames: Sequence[int] | None) -> dict[int, Mapping[str, Any]]:
        """Frame to `_id` and `last_modified_at`, as the database has them; of all or some."""

    @property
    @abstractmethod
    def _collection(self) -> Any:
        """The database's collection of the documents of frames."""

    @property
    @abstractmethod
    def _own(self) -> dict[str, Any]:
        """The query for the documents of its frames."""

    @abstractmethod
    def _reload(self, ids: Sequence[Any]) -> None:
        """Show new values in this process."""

    def mask_paths(self, field_name: str) -> Iterator[str]:
        """Paths of the masks of a field that are on the disk, beyond a clip, too."""
        parts = [f"{field_name}.mask_path", f"{field_name}.detections.mask_path"]
        for row in self._collection.find(self._own, parts):
            value = reduce(lambda found, key: found.get(key) or {}, field_name.split("."), row)
            for one in (value, *value.get("detections", ())):
                if one.get("mask_path"):
                    yield one["mask_path"]

    def _replace(self, found: Mapping[str, Any], values: Mapping[str, Any]) -> datetime | None:
        """Set values of a document; return when, or None if it was not as it was found."""
        when = now()
        set_ = {name: serialize_value(value) for name, value in values.items()}
        as_found = {"_id": found["_id"], "last_modified_at": found.get("last_modified_at")}
        done = self._collection.update_one(as_found, {"$set": {**set_, "last_modified_at": when}})
        return when if done.matched_count else None

    def write_samples(self, field_name: str, value: Any) -> None:
        """Set a field of the movie itself: of its sample, or of all of its images."""
        values = dict.fromkeys(self.ids, value)
        self.samples.set_values(field_name, values, key_field="id")

    @property
    def part(self) -> str:
        """Tells it from others of its sample: where it begins."""
        return str(self.span[0])

    def times(self) -> dict[int, Any]:
        """Frame to when it was changed last, in the database; of its own that are known there."""
        rows = self._documents(None).items()
        return {n: row.get("last_modified_at") for n, row in rows if self.shows(n)}

    @property
    def samples(self) -> Any:
        """All samples of its kind in the dataset, in all slices."""
        return every_slice(self.dataset, self.media_type)


def every_slice(dataset: Any, media_type: str) -> Any:
    """Return the samples of a kind: a grouped dataset by itself shows those of one slice only."""
    if dataset.media_type != fom.GROUP:
        return dataset
    return dataset.select_group_slices(media_type=media_type)


def now() -> datetime:
    """Return the time as the database keeps it: in UTC, in milliseconds."""
    time = datetime.now(timezone.utc)
    return time.replace(tzinfo=None, microsecond=time.microsecond // 1000 * 1000)


def address(samples: Any) -> tuple[str, Any]:
    """Return the id of a dataset, whose name a person may change, and the stages of a view."""
    stages = samples._serialize() if isinstance(samples, DatasetView) else None
    return str(samples._root_dataset._doc.id), stages


def _arrive(kind: type[Footage], values: dict[str, Any]) -> Footage:
    """Make footage of its pickled address."""

    def arrived(address: tuple[str, Any]) -> Any:
        id_, stages = address
        dataset = load_dataset(id=id_)
        return dataset if stages is None else DatasetView._build(dataset, stages)

    values |= {key: arrived(values[key]) for key in ("dataset", "view")}
    if "shown" in values:
        ids, dataset = values["shown"]
        values["shown"] = ids, dataset and arrived(dataset)
    return kind(**values)
