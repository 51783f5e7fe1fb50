"""What is tracked: videos, clips and image sequences, with the labels on their frames.

Frames are 0-based here, as in the core; FiftyOne's frame numbers begin with 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import fiftyone.core.media as fom
from fiftyone import DatasetView, ViewField, load_dataset

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.frames import FrameSource, open_frames

FRAMES = "frames."


class FootageError(Sam2PluginsError):
    """Samples that are no videos and no image sequences, or a field that does not fit."""


@dataclass(frozen=True)
class Footage(ABC):
    """One movie of a dataset.

    Attributes
    ----------
    dataset
        Where the labels are.
    view
        Of the dataset; its filters choose the labels that are prompts.
    sample_id
        Of the video, or of the first image.
    name
        For messages.
    """

    dataset: Any
    view: Any
    sample_id: str
    name: str

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process by name: the dataset is in the database that both see."""
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

    @property
    @abstractmethod
    def files(self) -> tuple[str, ...]:
        """Paths of what is opened."""

    @property
    def span(self) -> tuple[int, int | None]:
        """First and last frame that concern us, both included; None: to the end."""
        return 0, None

    def shows(self, frame: int) -> bool:
        """Whether labels of a frame are wanted."""
        first, last = self.span
        return frame >= first and (last is None or frame <= last)

    @abstractmethod
    def read(
        self, field_name: str, frames: Sequence[int] | None = None, *, filtered: bool = False
    ) -> Iterator[tuple[int, Any]]:
        """Yield (frame, value) of a field, where it has one; `filtered`: as the view shows it."""

    @abstractmethod
    def write(self, field_name: str, values: Mapping[int, Any]) -> None:
        """Set a field on frames. Frames that the database does not know yet are added."""

    @abstractmethod
    def write_samples(self, field_name: str, value: Any) -> None:
        """Set a field of the movie itself: of its sample, or of all of its images."""

    @abstractmethod
    def schema(self) -> Mapping[str, Any]:
        """Name to field, of the frames."""


@dataclass(frozen=True)
class Video(Footage):
    """A video sample, or a part of it.

    Attributes
    ----------
    only
        Frames that a view of frames shows; None: all within `limits`.
    """

    path: str = ""
    limits: tuple[int, int | None] = (0, None)
    only: frozenset[int] | None = field(default=None, repr=False)

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

    def shows(self, frame: int) -> bool:
        """Return whether a view of frames shows it, too."""
        return super().shows(frame) and (self.only is None or frame in self.only)

    def read(
        self, field_name: str, frames: Sequence[int] | None = None, *, filtered: bool = False
    ) -> Iterator[tuple[int, Any]]:
        """Read from the database, not more than asked for."""
        if field_name not in self.schema():
            return
        source = self.view if filtered else self.dataset
        view = source.select(self.sample_id).select_fields(FRAMES + field_name)
        if frames is not None:
            numbers = [frame + 1 for frame in frames]
            view = view.match_frames(ViewField("frame_number").is_in(numbers), omit_empty=False)
        for number, frame in view.first().frames.items():
            if frame[field_name] is not None and self.shows(number - 1):
                yield number - 1, frame[field_name]

    def write(self, field_name: str, values: Mapping[int, Any]) -> None:
        """Set a field, in one call."""
        numbered = {frame + 1: value for frame, value in values.items()}
        self.dataset.set_values(
            FRAMES + field_name, {self.sample_id: numbered}, key_field="id", dynamic=True
        )

    def write_samples(self, field_name: str, value: Any) -> None:
        """Set a field of the sample."""
        self.dataset.set_values(field_name, {self.sample_id: value}, key_field="id")

    def schema(self) -> Mapping[str, Any]:
        """Return the fields, by name."""
        return self.dataset.get_frame_field_schema() or {}


@dataclass(frozen=True)
class ImageSequence(Footage):
    """Image samples, one a frame, in order."""

    ids: tuple[str, ...] = field(default=(), repr=False)
    paths: tuple[str, ...] = field(default=(), repr=False)

    def open(self) -> FrameSource:
        """Open the files: one image a frame."""
        return open_frames(list(self.paths))

    @property
    def files(self) -> tuple[str, ...]:
        """Return a path a frame."""
        return self.paths

    def read(
        self, field_name: str, frames: Sequence[int] | None = None, *, filtered: bool = False
    ) -> Iterator[tuple[int, Any]]:
        """Read from the database, not more than asked for."""
        if field_name not in self.schema():
            return
        wanted = range(len(self.ids)) if frames is None else frames
        ids = [self.ids[frame] for frame in wanted]
        source = self.view if filtered else self.dataset
        values = source.select(ids, ordered=True).values(field_name)
        for frame, value in zip(wanted, values, strict=True):
            if value is not None:
                yield frame, value

    def write(self, field_name: str, values: Mapping[int, Any]) -> None:
        """Set a field, in one call."""
        by_id = {self.ids[frame]: value for frame, value in values.items()}
        self.dataset.set_values(field_name, by_id, key_field="id", dynamic=True)

    def write_samples(self, field_name: str, value: Any) -> None:
        """Set a field of every image."""
        self.dataset.set_values(field_name, dict.fromkeys(self.ids, value), key_field="id")

    def schema(self) -> Mapping[str, Any]:
        """Return the fields, by name."""
        return self.dataset.get_field_schema()


def _address(samples: Any) -> tuple[str, Any]:
    """Name of a dataset, and the stages that make a view of it."""
    stages = samples._serialize() if isinstance(samples, DatasetView) else None
    return samples._root_dataset.name, stages


def _arrive(kind: type[Footage], values: dict[str, Any]) -> Footage:
    """Make footage of what travelled."""
    for key in ("dataset", "view"):
        name, stages = values[key]
        dataset = load_dataset(name)
        values[key] = dataset if stages is None else DatasetView._build(dataset, stages)
    return kind(**values)


def find_footage(
    view: Any, group_by: str | None = None, order_by: str | None = None
) -> list[Footage]:
    """Find the movies of a dataset or view.

    Parameters
    ----------
    view
        Of videos, clips, the frames of videos, or images that are grouped dynamically.
    group_by, order_by
        Of images that are not grouped: the fields that tell their movie and their place in it.

    Raises
    ------
    FootageError
        If there are no samples, or they are no movies.
    """
    if not len(view):
        raise FootageError("There are no samples in this view. Clear its filters, or add samples.")
    if view._is_patches:
        raise FootageError("A view of patches has no movies. Close it, and take the samples.")
    if view._is_frames:
        return _videos_of_frames(view)
    if view._is_clips:
        return _videos_of_clips(view)
    if view.media_type == fom.GROUP and not view._is_dynamic_groups:
        view = view.select_group_slices(view.group_slice)
    if view.media_type == fom.VIDEO:
        return _videos(view)
    if view.media_type == fom.IMAGE and group_by:
        view = _grouped(view, group_by, order_by)
    if view.media_type == fom.GROUP:
        groups = view.iter_dynamic_groups()
        return [movie for group in groups for movie in _movies_of_group(group)]
    raise FootageError(
        f"These samples are no movies, but of media type {view.media_type!r}. Images become movies"
        " when they are grouped: name the field that tells their movie (group_by) and the one that "
        "tells their place in it (order_by). For single images there is segment_images."
    )


def find_images(view: Any) -> list[Footage]:
    """Take each image of a dataset or view as a movie of one frame.

    Raises
    ------
    FootageError
        If there are no samples, or they are no images.
    """
    if not len(view):
        raise FootageError("There are no samples in this view. Clear its filters, or add samples.")
    if view.media_type == fom.GROUP:
        view = view.flatten() if view._is_dynamic_groups else view.select_group_slices()
    if view.media_type != fom.IMAGE or view._is_patches:
        raise FootageError(
            f"These samples are no images, but of media type {view.media_type!r}. For videos there "
            "is propagate_masks; their frames are images after to_frames(sample_frames=True)."
        )
    dataset = view if view._is_frames else view._root_dataset
    ids, paths = view.values(["id", "filepath"])
    return [
        ImageSequence(dataset, view, id_, Path(path).name, (id_,), (path,))
        for id_, path in zip(ids, paths, strict=True)
    ]


def _videos(view: Any) -> list[Footage]:
    ids, paths = view.values(["id", "filepath"])
    return [
        Video(view._root_dataset, view, id_, Path(path).name, path)
        for id_, path in zip(ids, paths, strict=True)
    ]


def _videos_of_clips(view: Any) -> list[Footage]:
    rows = zip(*view.values(["sample_id", "support", "filepath"]), strict=True)
    return [
        Video(
            view._root_dataset,
            view._root_dataset,
            id_,
            f"{Path(path).name}, frames {first} to {last}",
            path,
            (first - 1, last - 1),
        )
        for id_, (first, last), path in rows
    ]


def _videos_of_frames(view: Any) -> list[Footage]:
    """The videos that a view of frames is of, with the frames that it shows."""
    flat = view.flatten() if view._is_dynamic_groups else view
    shown: dict[str, list[int]] = {}
    for id_, number in zip(*flat.values(["sample_id", "frame_number"]), strict=True):
        shown.setdefault(id_, []).append(number - 1)
    dataset = view._root_dataset
    paths = dataset.select(list(shown), ordered=True).values("filepath")
    return [
        Video(
            dataset,
            dataset,
            id_,
            Path(path).name,
            path,
            (min(frames), max(frames)),
            frozenset(frames),
        )
        for (id_, frames), path in zip(shown.items(), paths, strict=True)
    ]


def _movies_of_group(group: Any) -> list[Footage]:
    if group.media_type == fom.VIDEO:
        return _videos(group)
    ids, paths = group.values(["id", "filepath"])
    first = Path(paths[0])
    name = f"{first.parent.name}/{first.name} and {len(paths) - 1} more"
    return [ImageSequence(group._root_dataset, group, ids[0], name, tuple(ids), tuple(paths))]


def _grouped(view: Any, group_by: str, order_by: str | None) -> Any:
    known = view.get_field_schema()
    for name in filter(None, (group_by, order_by)):
        if name not in known:
            raise FootageError(f"These samples have no field {name!r}. Choose another.")
    return view.group_by(group_by, order_by=order_by)
