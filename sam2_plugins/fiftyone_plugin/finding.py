"""Finds the movies, or images, of a dataset or a view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import fiftyone.core.media as fom
from fiftyone import ViewExpression
from fiftyone.core.stages import ToTrajectories

from sam2_plugins.core.frames import natural_sorted
from sam2_plugins.fiftyone_plugin.footage import (
    FRAMES,
    OF_SAMPLES,
    Footage,
    FootageError,
    ImageSequence,
    Video,
    VideoFrame,
    every_slice,
)
from sam2_plugins.fiftyone_plugin.objects import object_name


def find_footage(
    view: Any, group_by: str | None = None, order_by: str | None = None
) -> list[Footage]:
    """Find the movies of a dataset or view.

    Parameters
    ----------
    view
        Of videos, clips, the frames of videos, or images that are grouped dynamically. Of a grouped
        dataset, the active slice.
    group_by, order_by
        Of images that are not grouped: the fields with their movie and their place in it.

    Raises
    ------
    FootageError
        If there are no samples, or they are no movies.
    """
    view = check_view(view, group_by, order_by)
    if view._is_frames:
        return [*_videos_of_frames(view)]
    if view._is_clips:
        return _videos_of_clips(view)
    if view.media_type == fom.VIDEO:
        return _videos(view, view)
    return _groups(view)


def check_view(view: Any, group_by: str | None = None, order_by: str | None = None) -> Any:
    """Check that a view is of movies, without looking at each.

    Returns
    -------
    view
        Of videos, clips, the frames of videos, or dynamic groups of images.

    Raises
    ------
    FootageError
        If it is not.
    """
    _check_samples(view)
    if view._is_patches:
        raise FootageError("A view of patches has no movies. Close it, and take the samples.")
    if view.media_type == fom.GROUP and not view._is_dynamic_groups:
        kinds = view.group_media_types
        movies = [repr(name) for name, kind in kinds.items() if kind == fom.VIDEO]
        if movies and kinds.get(view.group_slice) != fom.VIDEO:
            raise FootageError(
                f"The slice {view.group_slice!r} holds no movies. Select one that does: "
                f"{', '.join(movies)}."
            )
        view = view.select_group_slices(view.group_slice)
        _check_samples(view)
    if view._is_frames or view._is_clips or view.media_type == fom.VIDEO:
        return view
    if view.media_type == fom.IMAGE and group_by:
        for name in filter(None, (group_by, order_by)):
            if view.get_field(name) is None:
                raise FootageError(f"These samples have no field {name!r}. Choose another.")
        view = view.group_by(group_by, order_by=order_by)
    if view.media_type == fom.GROUP:
        return view
    raise FootageError(
        f"These samples are no movies, but of media type {view.media_type!r}. Images become movies"
        " when they are grouped: name the field with their movie (group_by) and the one with "
        "their place in it (order_by). For single images there is segment_images."
    )


def find_movie(view: Any, sample_id: str) -> Footage:
    """Find the movie that a sample is, or is an image of, without looking at the others.

    Raises
    ------
    FootageError
        If the sample is of no movie.
    """
    root = view._root_dataset
    if view._is_frames or view._is_clips:
        owners = dict(zip(*view.values(["id", "sample_id"]), strict=True))
        sample_id = owners.get(sample_id, sample_id)
    if root.media_type in (fom.GROUP, fom.VIDEO):
        videos = every_slice(root, fom.VIDEO).select(sample_id)
        if videos.media_type == fom.VIDEO and len(videos):
            return _videos(view, videos)[0]
    if view.media_type == fom.GROUP and view._is_dynamic_groups:
        for movie in _groups(_in_slice_of(view, sample_id), containing=sample_id):
            return movie
    raise FootageError("This sample is no movie: group the images by the field of their movie.")


def find_images(view: Any) -> list[Footage]:
    """Take each image of a dataset or view as a movie of one frame.

    Raises
    ------
    FootageError
        If there are no samples, or they are no images.
    """
    view = check_images(view)
    if view._is_frames:
        return _frames_of_videos(view)
    ids, paths = view.values(["id", "filepath"])
    return [
        ImageSequence(view._root_dataset, view, id_, Path(path).name, (id_,), (path,))
        for id_, path in zip(ids, paths, strict=True)
    ]


def _frames_of_videos(view: Any) -> list[Footage]:
    videos = {video.sample_id: video for video in _videos_of_frames(view)}
    names = ["id", "filepath", "sample_id", "frame_number"]
    return [
        VideoFrame(
            video.dataset,
            video.view,
            id_,
            f"{video.name}, frame {number}",
            (id_,),
            (path,),
            video=video,
            number=number - 1,
        )
        for id_, path, sample_id, number in zip(*view.values(names), strict=True)
        for video in [videos[sample_id]]
    ]


def check_images(view: Any) -> Any:
    """Check that a view is of images, and return it without groups; see `check_view`."""
    _check_samples(view)
    if view.media_type == fom.GROUP:
        view = members_of(view) if view._is_dynamic_groups else every_slice(view, fom.IMAGE)
    if view._is_patches:
        raise FootageError("These are patches of images. Close their view, and take the samples.")
    if view.media_type != fom.IMAGE:
        raise FootageError(
            f"These samples are no images, but of media type {view.media_type!r}. For videos there "
            "is propagate_masks; their frames are images after to_frames(sample_frames=True)."
        )
    return view


def first_group(view: Any) -> Footage:
    """Return one movie of a view of dynamic groups, without looking at the others."""
    return _groups(view, containing=members_of(view).first().id)[0]


def _in_slice_of(view: Any, sample_id: str) -> Any:
    """Return a view whose active slice is the one of an image: the App may show any slice."""
    root = view._root_dataset
    if root.media_type != fom.GROUP:
        return view
    image = every_slice(root, fom.IMAGE).select(sample_id)
    view = view.view()
    view.group_slice = next(iter(image.values(f"{root.group_field}.name")), view.group_slice)
    return view


def _check_samples(view: Any) -> None:
    samples = members_of(view) if view._is_dynamic_groups else view
    if not len(samples.limit(1)):
        raise FootageError("There are no samples in this view. Clear its filters, or add samples.")


def _videos(view: Any, videos: Any) -> list[Footage]:
    ids, paths = videos.values(["id", "filepath"])
    return [
        Video(videos._root_dataset, view, id_, Path(path).name, path)
        for id_, path in zip(ids, paths, strict=True)
    ]


def _videos_of_clips(view: Any) -> list[Footage]:
    names = ["id", "sample_id", "support", "filepath"]
    stage = view._clips_stage
    of = stage.field.removeprefix(FRAMES) if isinstance(stage, ToTrajectories) else ""
    names += [f"{of}.label", f"{of}.index"] if of else []
    return [
        Video(
            view._root_dataset,
            view,
            id_,
            f"{Path(path).name}, frames {first} to {last}" + (of and f", {object_name(*who)}"),
            path,
            (first - 1, last - 1),
            clip=clip,
        )
        for clip, id_, (first, last), path, *who in zip(*view.values(names), strict=True)
    ]


def _videos_of_frames(view: Any) -> list[Video]:
    """The videos that a view of frames is of, with the frames that it shows."""
    flat = ungrouped(view) if view._is_dynamic_groups else view
    shown: dict[str, dict[int, str]] = {}
    names = ["sample_id", "frame_number", "id"]
    for id_, number, image in zip(*flat.values(names), strict=True):
        shown.setdefault(id_, {})[number - 1] = image
    # Those that the view was made from know the labels of now; its own are as old as it is. Clips
    # do not know their videos by id.
    filtered = not {type(stage).__name__ for stage in flat._stages} <= OF_SAMPLES
    labels = flat if filtered or flat._source_collection._is_clips else flat._source_collection
    videos = every_slice(view._root_dataset, fom.VIDEO)
    paths = dict(zip(*videos.select(list(shown)).values(["id", "filepath"]), strict=True))
    return [
        Video(
            view._root_dataset,
            labels,
            id_,
            Path(paths[id_]).name,
            paths[id_],
            (min(frames), max(frames)),
            frozenset(frames),
            shown=(frames, flat._frames_dataset),
        )
        for id_, frames in shown.items()
    ]


def members_of(view: Any) -> Any:
    """Return the samples before they were grouped dynamically, of the slice that is active."""
    members = view._parse_dynamic_groups()[2]
    return (
        members.select_group_slices(view.group_slice)
        if members.media_type == fom.GROUP
        else members
    )


def ungrouped(view: Any) -> Any:
    """Return the samples before they were grouped, with the labels that later stages leave."""
    found = members_of(view)
    last = max(n for n, stage in enumerate(view._stages) if stage.outputs_dynamic_groups)
    for stage in view._stages[last + 1 :]:
        if type(stage).__name__ not in OF_SAMPLES:
            found = found.add_stage(stage)
    return found


def _groups(view: Any, containing: str | None = None) -> list[Footage]:
    """The movies of a view of dynamic groups, in a few queries for all of them.

    Parameters
    ----------
    containing
        Only the movie of this image.
    """
    group = ViewExpression(view._parse_dynamic_groups()[0])
    members = members_of(view)
    if members.media_type == fom.VIDEO:
        return _videos(members, members)
    if containing is not None:
        (key,) = members.select(containing).values(group) or [None]
        members = members.match(group == key if key is not None else ~group.exists())
    labels = ungrouped(view)
    stage = next(s for s in reversed(view._stages) if s.outputs_dynamic_groups)
    names = ["id", "filepath", *([stage.order_by] if stage.order_by else [])]
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for key, *row in zip(members.values(group), *members.values(names), strict=True):
        rows.setdefault(repr(key), []).append(tuple(row))
    wanted = rows if containing is not None else map(repr, view.values(group))
    found = []
    for key in wanted:
        if key in rows:
            ordered = _in_order(rows[key], bool(stage.reverse))
            problem = _NO_MOVIE if key == repr(None) else _disorder(rows[key], stage.order_by)
            found.append(_sequence(labels, ordered, problem))
    return found


_NO_MOVIE = "These images have no value in the field of their movie. Fill it in, or leave them out."


def _disorder(rows: Sequence[tuple[Any, ...]], order_by: str | None) -> str:
    """Say which of the rows have no place of their own; "" if all have, or none needs one."""
    if order_by is None or len(rows) == 1:
        return ""
    names: dict[Any, list[str]] = {}
    for _, path, place in rows:
        names.setdefault(None if place != place else place, []).append(Path(path).name)
    nowhere = names.pop(None, [])
    if nowhere:
        named = _listed(nowhere)
        return f"Without a place in {order_by!r}: {named}. Fill it in, or leave them out."
    for place, there in names.items():
        if len(there) > 1:
            return (
                f"{_listed(there)} have the same place {place!r} in {order_by!r}. Group them by "
                "what tells them apart, or name no order: then they are sorted by their names."
            )
    return ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(natural_sorted(names)[:3]) + more


def _in_order(rows: Iterable[tuple[Any, ...]], reverse: bool) -> list[tuple[Any, ...]]:
    """Sort rows of (id, path, place) by place, or else by name, in natural order."""
    placed = [(row[2] if len(row) > 2 else Path(row[1]).name, row) for row in rows]
    texts = natural_sorted({place for place, _ in placed if isinstance(place, str)})
    ranks = {text: rank for rank, text in enumerate(texts)}

    def key(pair: tuple[Any, Any]) -> tuple[Any, ...]:
        place = ranks[pair[0]] if isinstance(pair[0], str) else pair[0]
        return place is None, 0 if place is None else place

    return [row for _, row in sorted(placed, key=key, reverse=reverse)]


def _sequence(labels: Any, rows: list[tuple[Any, ...]], problem: str) -> Footage:
    ids, paths = zip(*(row[:2] for row in rows), strict=True)
    first, last = Path(paths[0]), Path(paths[-1])
    name = f"{first.parent.name}/{first.name}"
    if len(paths) > 1:
        name = f"{name} to {last.name} ({len(paths)} images)"
    return ImageSequence(labels._root_dataset, labels, ids[0], name, ids, paths, problem)
