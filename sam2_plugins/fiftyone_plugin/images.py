"""Image sequences, and frames of videos that are images, with their labels."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, ClassVar

import fiftyone.core.media as fom
from bson import ObjectId as BsonId
from fiftyone.core.sample import Sample

from sam2_plugins.core.frames import FrameSource
from sam2_plugins.fiftyone_plugin.fields import FrameFields
from sam2_plugins.fiftyone_plugin.footage import Changes, Footage, FootageError, Revise
from sam2_plugins.fiftyone_plugin.videos import Video


@dataclass(frozen=True)
class ImageSequence(Footage):
    """Image samples, one a frame, in order.

    Attributes
    ----------
    problem
        Why they are no movie; "" if they are.
    """

    media_type: ClassVar[str] = fom.IMAGE

    problem: str = ""

    def open(self) -> FrameSource:
        """Open the files: one image a frame."""
        if self.problem:
            raise FootageError(self.problem)
        return super().open()

    def fill_metadata(self, frames: FrameSource) -> None:
        """Do nothing: FiftyOne shows images without."""

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

    @property
    def fields(self) -> FrameFields:
        """Return those of the video's frames."""
        return self.video.fields

    @property
    def _collection(self) -> Any:
        return self.video._collection

    @property
    def _own(self) -> dict[str, Any]:
        return {**self.video._own, "frame_number": self.number + 1}

    def _documents(self, frames: Sequence[int] | None) -> dict[int, Mapping[str, Any]]:
        return dict(enumerate(self.video._documents([self.number]).values()))

    def require_there(self) -> None:
        """Check that nobody has deleted the video."""
        self.video.require_there()
