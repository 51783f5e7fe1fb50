"""Videos, and parts of them, with the labels on their frames."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar

import fiftyone.core.media as fom
from bson import ObjectId as BsonId
from fiftyone import DatasetView, VideoMetadata, ViewField
from fiftyone.core.frame import Frame

from sam2_plugins.core.files import digest_of
from sam2_plugins.core.frames import FrameSource
from sam2_plugins.fiftyone_plugin.fields import FrameFields
from sam2_plugins.fiftyone_plugin.footage import FRAMES, Changes, Footage, Revise, address, now


@dataclass(frozen=True)
class Video(Footage):
    """A video sample, or a part of it.

    Attributes
    ----------
    only
        Frames that a view of frames shows; None: all within `span`.
    clip
        Its id in a view of clips; "" if it is not of one.
    shown
        Frame to id in the dataset that FiftyOne made for a view of frames, and that dataset; it has
        copies of their labels, so that what is written on the video is written there, too.
    """

    media_type: ClassVar[str] = fom.VIDEO

    only: frozenset[int] | None = field(default=None, repr=False)
    clip: str = ""
    shown: tuple[Mapping[int, str], Any] = field(default=({}, None), repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the view's dataset as its id, too."""
        make, (kind, values) = super().__reduce__()
        ids, dataset = self.shown
        return make, (kind, {**values, "shown": (ids, dataset and address(dataset))})

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

    @property
    def fields(self) -> FrameFields:
        """Return those of its frames, in a view of clips or frames, too."""
        _, made = self.shown
        if made is None:
            made = getattr(self.view, "_clips_dataset", None)
        return FrameFields(self.dataset, True, made)

    def fill_metadata(self, frames: FrameSource) -> None:
        """Set the metadata of the sample, if it has none."""
        if self.samples.select(self.sample_id).values("metadata") == [None]:
            self.write_samples("metadata", video_metadata(frames))

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

    def _add_frames(self, frames: Sequence[int]) -> None:
        when, dataset_id = now(), self.dataset._root_dataset._doc.id
        fresh = {"_dataset_id": dataset_id, "created_at": when, "last_modified_at": when}
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


def _one_of(frames: Iterable[int]) -> Any:
    return ViewField("frame_number").is_in([frame + 1 for frame in frames])
