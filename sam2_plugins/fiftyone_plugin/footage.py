"""What is tracked: videos, clips and image sequences, with the labels on their frames.

Frames are 0-based here, as in the core; FiftyOne's frame numbers begin with 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from functools import reduce
from operator import itemgetter
from typing import Any, ClassVar, TypeAlias

import fiftyone as fo
import fiftyone.core.media as fom
from bson import ObjectId as BsonId
from fiftyone import DatasetView, VideoMetadata, ViewField
from fiftyone.core.frame import Frame
from fiftyone.core.odm import get_db_conn, load_dataset, serialize_value
from fiftyone.core.sample import Sample

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.files import digest_of
from sam2_plugins.core.frames import FrameSource, open_frames

FRAMES = "frames."

_FIELDS = {float: fo.FloatField, int: fo.IntField, str: fo.StringField, bool: fo.BooleanField}

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


class FootageError(Sam2PluginsError):
    """Samples that are no videos and no image sequences, or a field that does not fit."""


@dataclass(frozen=True)
class Footage(ABC):
    """One movie of a dataset.

    Attributes
    ----------
    dataset
        Where the labels are; in a grouped one, in any slice.
    view
        Of the dataset; its filters choose the labels that are prompts.
    sample_id
        Of the video, or of the first image.
    name
        For messages.
    """

    media_type: ClassVar[str]
    _fields_name: ClassVar[str] = "sample_fields"

    dataset: Any
    view: Any
    sample_id: str
    name: str

    @abstractmethod
    def fill_metadata(self, frames: FrameSource) -> None:
        """Let FiftyOne's player know the frames of a video, where ffprobe has not."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as the id of the dataset, which another process reads from the same database."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        values |= {name: _address(values[name]) for name in ("dataset", "view")}
        return _arrive, (type(self), values)

    @abstractmethod
    def open(self) -> FrameSource:
        """Open the frames.

        Raises
        ------
        FrameSourceError
            If they cannot be read.
        """

    def require_there(self) -> None:
        """Check that nobody has deleted it, or images of it.

        Raises
        ------
        FootageError
            If so.
        """
        ids = self.sample_ids()
        try:
            there = len(self.samples.select(ids))
        except ValueError as error:  # this is what FiftyOne says of a deleted dataset
            raise FootageError("Its dataset was deleted meanwhile.") from error
        if there < len(ids):
            raise FootageError(
                f"{len(ids) - there} of its samples were deleted meanwhile. Run again for the rest."
            )

    @abstractmethod
    def sample_ids(self) -> Sequence[str]:
        """Ids of its samples."""

    @property
    @abstractmethod
    def files(self) -> tuple[str, ...]:
        """Paths of what is opened."""

    @property
    def span(self) -> tuple[int, int | None]:
        """First and last wanted frame, both included; None: to the end."""
        return 0, None

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
        if find_field(self.schema(), field_name) is not None:
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
                now = self._replace(found, values) if values else None
                if now is not None:
                    changes[frame] = found.get("last_modified_at") if frame in known else None, now
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
        there = {one["name"] for one in self._stored_schema()}
        gone = {name for name in names if name.partition(".")[0] not in there}
        if gone:
            self._collection.update_many(self._own, {"$unset": dict.fromkeys(gone, "")})
            raise FootageError(
                f"{', '.join(map(repr, gone))} was renamed or deleted meanwhile. Run again."
            )

    def _stored_schema(self) -> list[Any]:
        """Read the fields of frames from the database, which other processes may have changed."""
        of_all = get_db_conn().datasets.find_one({"_id": self.dataset._root_dataset._doc.id})
        return list((of_all or {}).get(self._fields_name, ()))

    def declare(self, name: str, kind: type, attributes: Mapping[str, Any]) -> None:
        """Make a field of labels, and the types of some of their attributes known to FiftyOne.

        Other attributes are left alone: FiftyOne cannot read labels any more once an attribute of
        which people wrote values of several types is declared.

        Parameters
        ----------
        attributes
            Name to a value of its type.

        Raises
        ------
        FootageError
            If there are values of another type in one of them.
        """
        items = getattr(kind, "_LABEL_LIST_FIELD", None)
        root = f"{name}.{items}" if items else name
        paths = {f"{root}.{key}": value for key, value in attributes.items()}
        known = [one.to_mongo() for one in self.dataset._root_dataset._doc[self._fields_name]]
        if known != self._stored_schema():
            self.dataset._reload()  # its name, too, which is needed for the rest
            self.dataset.reload()
        if {name, *paths} <= {*self.schema(flat=True)}:
            return
        self._add_field(name, fo.EmbeddedDocumentField, embedded_doc_type=kind)
        fresh = {path: value for path, value in paths.items() if path not in self.schema(flat=True)}
        there = self._undeclared(name) if fresh else {}
        for path, value in fresh.items():
            wanted = _FIELDS.get(type(value), fo.EmbeddedDocumentField)
            found = there.get(path, [])
            others = {type(one) for one in (found if isinstance(found, list) else [found])}
            if others - {wanted}:
                names = " and ".join(sorted(one.__name__ for one in others))
                raise FootageError(
                    f"In {name!r} the attribute {path.rpartition('.')[2]!r} is there already, and "
                    f"of another type ({names}): rename it, or choose another name."
                )
        for path, value in fresh.items():
            wanted = _FIELDS.get(type(value))
            kind_of = {} if wanted else {"embedded_doc_type": type(value)}
            self._add_field(path, wanted or fo.EmbeddedDocumentField, **kind_of)

    @abstractmethod
    def _add_field(self, name: str, kind: type, **more: Any) -> None:
        """Add a field to the frames, unless it is there."""

    @abstractmethod
    def _undeclared(self, name: str) -> Mapping[str, Any]:
        """Path to field, or to fields, of the attributes in a field that are not declared."""

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
        now = _now()
        set_ = {name: serialize_value(value) for name, value in values.items()}
        as_found = {"_id": found["_id"], "last_modified_at": found.get("last_modified_at")}
        done = self._collection.update_one(as_found, {"$set": {**set_, "last_modified_at": now}})
        return now if done.matched_count else None

    def write_samples(self, field_name: str, value: Any) -> None:
        """Set a field of the movie itself: of its sample, or of all of its images."""
        values = dict.fromkeys(self.sample_ids(), value)
        self.samples.set_values(field_name, values, key_field="id")

    @abstractmethod
    def schema(self, flat: bool = False) -> Mapping[str, Any]:
        """Name to field, of the frames; if flat, of attributes, too."""

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


def find_field(schema: Mapping[str, Any], name: str) -> Any:
    """Return a field, or one within it (`inspection.cells`); None if it is not there."""
    first, _, rest = name.partition(".")
    found = schema.get(first)
    if not rest or found is None:
        return found
    is_document = isinstance(found, fo.EmbeddedDocumentField)
    return find_field(found.get_field_schema(), rest) if is_document else None


def video_metadata(frames: FrameSource, fps: float | None = None) -> Any:
    """Return the metadata of an open video.

    Parameters
    ----------
    fps
        Frames per second, where they are to be other than the file has.
    """
    rate = fps or frames.fps or 1.0
    return VideoMetadata(
        frame_width=frames.width,
        frame_height=frames.height,
        frame_rate=rate,
        total_frame_count=len(frames),
        duration=len(frames) / rate,
    )


def every_slice(dataset: Any, media_type: str) -> Any:
    """Return the samples of a kind: a grouped dataset by itself shows those of one slice only."""
    if dataset.media_type != fom.GROUP:
        return dataset
    return dataset.select_group_slices(media_type=media_type)


@dataclass(frozen=True)
class Video(Footage):
    """A video sample, or a part of it.

    Attributes
    ----------
    only
        Frames that a view of frames shows; None: all within `limits`.
    clip
        Its id in a view of clips; "" if it is not of one.
    shown
        Frame to id in the dataset that FiftyOne made for a view of frames, and that dataset; it has
        copies of their labels, so that what is written on the video is written there, too.
    """

    media_type: ClassVar[str] = fom.VIDEO
    _fields_name: ClassVar[str] = "frame_fields"

    path: str = ""
    limits: tuple[int, int | None] = (0, None)
    only: frozenset[int] | None = field(default=None, repr=False)
    clip: str = ""
    shown: tuple[Mapping[int, str], Any] = field(default=({}, None), repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the view's dataset as its id, too."""
        make, (kind, values) = super().__reduce__()
        ids, dataset = self.shown
        return make, (kind, {**values, "shown": (ids, dataset and _address(dataset))})

    def revise(self, names: Sequence[str], frames: Collection[int], revise_one: Revise) -> Changes:
        """Set fields of labels, in a view of frames, too."""
        changes = super().revise(names, frames, revise_one)
        for name in names:
            self._show(name, dict(self.read(name, [*frames])))
        return changes

    def _show(self, field_name: str, values: Mapping[int, Any]) -> None:
        """Set a field in a view of frames."""
        ids, dataset = self.shown
        if dataset is not None:
            by_id = {ids[n]: value for n, value in values.items() if n in ids}
            with suppress(ValueError):  # the view was made anew, with all that is on the video
                dataset.set_values(field_name, by_id, key_field="id")

    def declare(self, name: str, kind: type, attributes: Mapping[str, Any]) -> None:
        """Make a field known, in a view of frames, too."""
        super().declare(name, kind, attributes)
        _, dataset = self.shown
        if dataset is not None and not dataset.deleted:
            ImageSequence(dataset, dataset, "", "").declare(name, kind, attributes)

    def fill_metadata(self, frames: FrameSource) -> None:
        """Set the metadata of the sample, if it has none."""
        if self.samples.select(self.sample_id).values("metadata") == [None]:
            self.write_samples("metadata", video_metadata(frames))

    def open(self) -> FrameSource:
        """Open the file."""
        return open_frames(self.path)

    @property
    def files(self) -> tuple[str, ...]:
        """Return the one path."""
        return (self.path,)

    @property
    def span(self) -> tuple[int, int | None]:
        """Return its limits."""
        return self.limits

    @property
    def part(self) -> str:
        """Return where it begins; of a clip its name, too: several may begin there."""
        return super().part + (self.clip and f".{digest_of(self.name, 8)}")

    def shows(self, frame: int) -> bool:
        """Return whether a view of frames shows it, too."""
        return super().shows(frame) and (self.only is None or frame in self.only)

    def hidden(self) -> Collection[int]:
        """Return those that the database knows, and a view has not."""
        if not isinstance(self.view, DatasetView):
            return ()
        return self.times().keys() - {n for n, _ in self._values(self.view, "frame_number", None)}

    def sample_ids(self) -> Sequence[str]:
        """Return the one id."""
        return (self.sample_id,)

    def _values(
        self, source: Any, field_name: str, frames: Sequence[int] | None
    ) -> Iterator[tuple[int, Any]]:
        if source._is_frames:
            own = source.match(ViewField("_sample_id") == BsonId(self.sample_id))
            if frames is not None:
                own = own.match(_one_of(frames))
            for number, value in zip(*own.values(["frame_number", field_name]), strict=True):
                yield number - 1, value
            return
        for sample in self._frames(source, frames).select_fields(FRAMES + field_name):
            for number, frame in sample.frames.items():
                yield number - 1, frame[field_name]

    def _frames(self, source: Any, frames: Sequence[int] | None) -> Any:
        """The sample of a view, with all of its frames or some."""
        view = source.select((source is self.view and self.clip) or self.sample_id)
        if frames is None:
            return view
        return view.match_frames(_one_of(frames), omit_empty=False)

    def write(self, field_name: str, values: Mapping[int, Any]) -> None:
        """Set a field, in one call, and in a view of frames."""
        numbered = {frame + 1: value for frame, value in values.items()}
        self.samples.set_values(FRAMES + field_name, {self.sample_id: numbered}, key_field="id")
        self._show(field_name, values)

    def _add_field(self, name: str, kind: type, **more: Any) -> None:
        self.dataset.add_frame_field(name, kind, **more)

    def _undeclared(self, name: str) -> Mapping[str, Any]:
        return self.dataset.get_dynamic_frame_field_schema(fields=name) or {}

    def _add_frames(self, frames: Sequence[int]) -> None:
        now, dataset_id = _now(), self.dataset._root_dataset._doc.id
        fresh = {"_dataset_id": dataset_id, "created_at": now, "last_modified_at": now}
        for frame in frames:
            one = {**self._own, "frame_number": frame + 1}
            self._collection.update_one(one, {"$setOnInsert": fresh}, upsert=True)

    def _documents(self, frames: Sequence[int] | None) -> dict[int, Mapping[str, Any]]:
        some = {} if frames is None else {"frame_number": {"$in": [n + 1 for n in frames]}}
        rows = self._collection.find({**self._own, **some}, ["frame_number", "last_modified_at"])
        return {row["frame_number"] - 1: row for row in rows}

    @property
    def _own(self) -> dict[str, Any]:
        return {"_sample_id": BsonId(self.sample_id)}

    @property
    def _collection(self) -> Any:
        return self.dataset._root_dataset._frame_collection

    def _reload(self, ids: Sequence[Any]) -> None:
        Frame._reload_docs(self.dataset._root_dataset._frame_collection_name, frame_ids=ids)

    def schema(self, flat: bool = False) -> Mapping[str, Any]:
        """Return the fields, by name."""
        return self.dataset.get_frame_field_schema(flat=flat) or {}


@dataclass(frozen=True)
class ImageSequence(Footage):
    """Image samples, one a frame, in order.

    Attributes
    ----------
    problem
        Why they are no movie; "" if they are.
    """

    media_type: ClassVar[str] = fom.IMAGE

    ids: tuple[str, ...] = field(default=(), repr=False)
    paths: tuple[str, ...] = field(default=(), repr=False)
    problem: str = ""

    def open(self) -> FrameSource:
        """Open the files: one image a frame."""
        if self.problem:
            raise FootageError(self.problem)
        return open_frames(list(self.paths))

    @property
    def files(self) -> tuple[str, ...]:
        """Return a path a frame."""
        return self.paths

    def fill_metadata(self, frames: FrameSource) -> None:
        """Do nothing: FiftyOne shows images without."""

    def sample_ids(self) -> Sequence[str]:
        """Return an id a frame."""
        return self.ids

    def _values(
        self, source: Any, field_name: str, frames: Sequence[int] | None
    ) -> list[tuple[int, Any]]:
        places = self._places(frames)
        rows = zip(*source.select(list(places)).values(["id", field_name]), strict=True)
        return sorted(((places[id_], value) for id_, value in rows), key=itemgetter(0))

    def _places(self, frames: Sequence[int] | None) -> dict[str, int]:
        """Id of an image to its frame, of all or some."""
        wanted = range(len(self.ids)) if frames is None else frames
        return {self.ids[frame]: frame for frame in wanted}

    def write(self, field_name: str, values: Mapping[int, Any]) -> None:
        """Set a field, in one call."""
        by_id = {self.ids[frame]: value for frame, value in values.items()}
        self.samples.set_values(field_name, by_id, key_field="id")

    def _add_field(self, name: str, kind: type, **more: Any) -> None:
        self.dataset.add_sample_field(name, kind, **more)

    def _undeclared(self, name: str) -> Mapping[str, Any]:
        return self.dataset.get_dynamic_field_schema(fields=name) or {}

    def _add_frames(self, frames: Sequence[int]) -> None:
        """Do nothing: each is a sample."""

    def _documents(self, frames: Sequence[int] | None) -> dict[int, Mapping[str, Any]]:
        places = {BsonId(id_): place for id_, place in self._places(frames).items()}
        rows = self._collection.find({"_id": {"$in": [*places]}}, {"last_modified_at": 1})
        return {places[row["_id"]]: row for row in rows}

    @property
    def _own(self) -> dict[str, Any]:
        return {"_id": {"$in": [*map(BsonId, self.ids)]}}

    @property
    def _collection(self) -> Any:
        return self.dataset._sample_collection

    def _reload(self, ids: Sequence[Any]) -> None:
        Sample._reload_docs(self.dataset._sample_collection_name, sample_ids=ids)

    def schema(self, flat: bool = False) -> Mapping[str, Any]:
        """Return the fields, by name."""
        return self.dataset.get_field_schema(flat=flat)


@dataclass(frozen=True)
class VideoFrame(ImageSequence):
    """A frame of a video that a view of frames shows as an image.

    Its labels are read and written where they are, on the video: those in the view are as old as it
    is, and filtered.

    Attributes
    ----------
    video, number
        What it is a frame of, and which, from 0.
    """

    video: Video = field(kw_only=True)
    number: int = field(kw_only=True)

    def read(
        self,
        field_name: str,
        frames: Sequence[int] | None = None,
        *,
        filtered: bool = False,
        beyond: bool = False,
    ) -> Iterator[tuple[int, Any]]:
        """Yield the value of a field, if it has one, as of frame 0."""
        for frame, value in self.video.read(field_name, [self.number], filtered=filtered):
            if frame == self.number:
                yield 0, value

    def revise(self, names: Sequence[str], frames: Collection[int], revise_one: Revise) -> Changes:
        """Set fields of labels of the video's frame."""
        here = [self.number] if frames else ()
        changes = self.video.revise(names, here, lambda _, values: revise_one(0, values))
        return dict(enumerate(changes.values()))

    def declare(self, name: str, kind: type, attributes: Mapping[str, Any]) -> None:
        """Make a field of the video's frames known."""
        self.video.declare(name, kind, attributes)

    @property
    def _collection(self) -> Any:
        return self.video._collection

    @property
    def _own(self) -> dict[str, Any]:
        return {**self.video._own, "frame_number": self.number + 1}

    def schema(self, flat: bool = False) -> Mapping[str, Any]:
        """Return the fields of the video's frames."""
        return self.video.schema(flat)

    def _documents(self, frames: Sequence[int] | None) -> dict[int, Mapping[str, Any]]:
        return dict(enumerate(self.video._documents([self.number]).values()))

    def require_there(self) -> None:
        """Check that nobody has deleted the video."""
        self.video.require_there()


def _now() -> datetime:
    """The time as the database keeps it: in UTC, in milliseconds."""
    now = datetime.now(timezone.utc)
    return now.replace(tzinfo=None, microsecond=now.microsecond // 1000 * 1000)


def _one_of(frames: Iterable[int]) -> Any:
    return ViewField("frame_number").is_in([frame + 1 for frame in frames])


def _address(samples: Any) -> tuple[str, Any]:
    """Id of a dataset, whose name a person may change, and the stages of a view of it."""
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
