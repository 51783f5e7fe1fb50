"""Filling a video, a picture or a stack of a task: what a person drew there in, regions out."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.query import unmet_sentence
from sam2_plugins.labelstudio_backend import images, videos
from sam2_plugins.labelstudio_backend.digests import digest_of
from sam2_plugins.labelstudio_backend.errors import (
    FormatError,
    LabelStudioError,
    MediaError,
    NothingToDo,
)
from sam2_plugins.labelstudio_backend.jobs import Job, Jobs, Steps
from sam2_plugins.labelstudio_backend.label_config import Control, Media
from sam2_plugins.labelstudio_backend.lane import CLICK, TRACK
from sam2_plugins.labelstudio_backend.media import MediaStore
from sam2_plugins.labelstudio_backend.notes import with_note
from sam2_plugins.labelstudio_backend.projects import track_button
from sam2_plugins.labelstudio_backend.regions import daughter_of, id_of
from sam2_plugins.labelstudio_backend.request import TaskRequest
from sam2_plugins.labelstudio_backend.settings import Settings
from sam2_plugins.labelstudio_backend.tracking import Movie, Prompts, Tracked, Tracks

if TYPE_CHECKING:
    from sam2_plugins.core.tracking.tracker import VideoTracker

IMAGES_KEPT = 8
"""Images whose features are kept, so that the next click on them is quick."""
CACHE_MEGABYTES = 64

NO_LABEL = " If it has no label yet, press its label's key."

Results = list[dict[str, Any]]
Answered = dict[str, tuple[str, ...]]
"""Id of a person's region to those of the regions that stand for it now."""


@dataclass(frozen=True)
class Filled:
    """What was made for one video or picture of a task.

    Attributes
    ----------
    results
        The regions, in Label Studio's form.
    answered
        Id of a person's region to those of the regions that stand for it now.
    ious
        The model's own estimates, for the score.
    note
        For the annotator.
    is_whole
        Whether nothing is missing.
    goes_on
        Whether what is missing is being made.
    """

    results: list[dict[str, Any]]
    answered: Mapping[str, Sequence[str]]
    ious: Sequence[float | None]
    note: str = ""
    is_whole: bool = True
    goes_on: bool = False


class Filler:
    """Fills videos, pictures and stacks of tasks.

    Parameters
    ----------
    settings
        See `Settings`.

    Attributes
    ----------
    media, tracks, jobs
        The files of tasks; tracking, and what of it runs and has just run.
    """

    def __init__(self, settings: Settings) -> None:
        self.jobs = Jobs()
        self.media = MediaStore(settings)
        self.tracks = Tracks(settings.folder / "tracks", int(settings.track_gigabytes * 1e9))
        self._images: OrderedDict[str, VideoTracker] = OrderedDict()

    def close(self) -> None:
        """Leave the tracks that run for the next start."""
        self.jobs.close()

    def fill(self, request: TaskRequest, media: Media) -> Filled:
        """Return the regions of a video, a picture or a stack, in time: perhaps not yet all.

        Raises
        ------
        NothingToDo
            If nothing was drawn that says where an object is.
        Sam2PluginsError
            If the file or what was drawn is no good.
        """
        if request.settings.everything and request.is_bare:
            return self._everything(request, media)
        if media.kind == "Video":
            return self._video(request, media)
        if media.is_stack:
            return self._stack(request, media)
        return self._image(request, media)

    def _everything(self, request: TaskRequest, media: Media) -> Filled:
        """Find all objects of a task in which nobody has drawn anything."""
        label, options = request.settings.everything, request.settings.tracking
        control = request.config.output(media, label)
        movie = self._open(request, media)
        if media.kind == "Video":
            rate = media.framerate(request.data)
            view = videos.view_of(movie.frames, rate, (), request.settings.masks)

        def regions(obj: str, by_frame: Mapping[int, ObjectMask]) -> Results:
            if media.kind == "Video":
                return [videos.new_region(obj, control, label, by_frame, view)]
            target = images.Target(obj, label)
            return [
                result
                for page, mask in sorted(by_frame.items())
                for result in images.write_mask(
                    mask, control, target, page if media.is_stack else None
                )
            ]

        def write(found: Tracked) -> tuple[Results, Answered]:
            masks = found.masks
            made = {obj: regions(obj, masks.of_object(obj)) for obj in masks.objects}
            written = [one for results in made.values() for one in results]
            divided = ((d, m) for d, m in found.parents.items() if made.get(d) and made.get(m))
            return [*written, *(daughter_of(made[m][-1], made[d][0]) for d, m in divided)], {}

        def steps(tracked: Tracked) -> Generator[None, None, None]:
            with movie.frames:
                yield from self.tracks.find(movie, options, request.settings.max_frames, tracked)

        what = [movie.fingerprint, options.identity()]
        made = self._wait(request, what, steps, [], write, "")
        if made.is_whole and not made.results:
            raise NothingToDo("The model finds no object there.")
        return made

    def _image(self, request: TaskRequest, media: Media) -> Filled:
        path = self._path(request, media.address(request.data))
        with self.tracks.lane.turn(CLICK if request.interactive else TRACK):
            tracker = self._image_tracker(request, path)
            size = tracker.frame_size
            hints = images.read_hints(request.results, media, request.config, size)
            results: Results = []
            answered: Answered = {}
            ious = []
            targets = images.targets(hints, request.interactive)
            tracker.reset()
            for prompt in (prompt for target in targets for prompt in target.prompts()):
                tracker.add(prompt)
            for target in targets:
                control = request.config.output(media, target.label)
                mask = tracker.mask(0, target.id)
                assert mask is not None
                written = images.write_mask(mask, control, target, None)
                clicks = tracker.unmet_clicks(0, target.id)
                if clicks:
                    written = with_note(written, " ".join(map(unmet_sentence, clicks)))
                results += written
                ious += [mask.iou] if written else []
                for region in target.regions if written else ():
                    answered[region] = (*answered.get(region, ()), target.id)
        if request.interactive:  # what was drawn goes when the answer is accepted
            answered = {**{hint.region: () for hint in hints}, **answered}
        if not results:
            raise NothingToDo("The model finds no object there: try another click, or a box.")
        return Filled(results, answered, ious)

    def _video(self, request: TaskRequest, media: Media) -> Filled:
        names = {c.name: c for c in request.config.controls_of(media) if c.type == videos.TYPE}
        regions = [r for r in videos.read_regions(request.results) if r.from_name in names]
        if not regions:
            raise NothingToDo("There is no box to track yet: draw one, and save the annotation.")
        movie = self._open(request, media)
        rate = media.framerate(request.data)
        view = videos.view_of(movie.frames, rate, regions, request.settings.masks)
        prompts = {r.id: own for r in regions if (own := videos.prompts_of(r, view))}
        if not prompts:
            raise NothingToDo("All boxes here are the model's own: move one, or draw another.")

        def write(found: Tracked) -> tuple[Results, Answered]:
            tracked = [region for region in regions if region.id in prompts]
            made = [videos.answer_region(r, found.masks.of_object(r.id), view) for r in tracked]
            return made, {region.id: (region.id,) for region in tracked}

        made = self._follow(request, movie, prompts, write, _how_to_send_again(request, media))
        if not request.interactive:
            return made
        noted = []
        for region, result in zip(
            (r for r in regions if r.id in prompts), made.results, strict=True
        ):
            bare = not region.labels and names[region.from_name].labels
            noted += with_note([result], f"{made.note}{NO_LABEL if bare else ''}")
        return replace(made, results=noted)

    def _stack(self, request: TaskRequest, media: Media) -> Filled:
        movie = self._open(request, media)
        size = (movie.frames.height, movie.frames.width)
        hints = images.read_hints(request.results, media, request.config, size, len(movie.frames))
        objects = {t.id: t for t in images.targets(hints, request.interactive)}
        controls = {t.id: request.config.output(media, t.label) for t in objects.values()}
        places = _places(request, objects, controls)

        def write(found: Tracked) -> tuple[Results, Answered]:
            results: Results = []
            answered: Answered = {}
            for obj in found.masks.objects:
                target = objects[obj]
                pages: dict[int, str] = {}
                for page, mask in found.masks.of_object(obj).items():
                    place = places.get((obj, page))
                    written = images.write_mask(mask, controls[obj], target, page, place)
                    results += written
                    if written:
                        pages[page] = id_of(written[0])
                for region, page in target.regions.items():
                    known = answered.get(region, ())
                    answered[region] = (*known, *([pages[page]] if page in pages else []))
            made = {id_of(one) for one in results}
            kept = {place: ((place,) if place in made else ()) for place in places.values()}
            return results, {**kept, **answered}

        prompts = {target.id: target.prompts() for target in objects.values()}
        made = self._follow(request, movie, prompts, write, "click again")
        if not request.interactive:
            return made
        answered = {**{hint.region: () for hint in hints}, **made.answered}
        results = made.results if made.is_whole else with_note(made.results, made.note)
        return replace(made, results=results, answered=answered)

    def _follow(
        self,
        request: TaskRequest,
        movie: Movie,
        prompts: Prompts,
        write: Callable[[Tracked], tuple[Results, Answered]],
        again: str,
    ) -> Filled:
        """Track what a person drew."""
        most, options = request.settings.max_frames, request.settings.tracking

        def steps(tracked: Tracked) -> Generator[None, None, None]:
            with movie.frames:
                yield from self.tracks.follow(movie, prompts, options, most, tracked)

        names = self.tracks.names(movie, prompts, options)
        return self._wait(request, names, steps, sorted(prompts), write, again)

    def _wait(
        self,
        request: TaskRequest,
        what: Sequence[Any],
        steps: Steps,
        objects: Sequence[str],
        write: Callable[[Tracked], tuple[Results, Answered]],
        again: str,
    ) -> Filled:
        """Answer in time what a job makes: everything, or what there is.

        Parameters
        ----------
        what
            With project, task, objects and reach, all that the job depends on.
        """
        about = {"project": request.project, "task": request.task_id, "objects": objects}
        key = digest_of(json.dumps([about, what, request.settings.max_frames]))
        somebody = request.until < float("inf")
        job = self.jobs.join(key, about, steps, request.author(objects), anew=somebody)
        job.wait(request.until - time.monotonic(), somebody)
        if job.state == "failed":
            raise LabelStudioError(job.error)
        # Before the masks are taken: more of them may come between.
        is_whole = job.state == "done"
        found = job.tracked.snapshot()
        results, answered = write(found)
        frames = map(found.masks.on_frame, found.masks.frames)
        ious = [mask.iou for masks in frames for mask in masks.values() if mask.visible]
        goes_on = not is_whole and not job.stop.is_set()
        return Filled(results, answered, ious, _note(job, is_whole, again), is_whole, goes_on)

    def _path(self, request: TaskRequest, url: Any) -> Path:
        if not isinstance(url, str) or not url:
            raise FormatError(
                "The task has no address of its video or image where the labelling config expects "
                "it. Compare the config's value=\"$…\" with the task's data."
            )
        return self.media.get(url, request.task_id, request.server, request.until)

    def _open(self, request: TaskRequest, media: Media) -> Movie:
        """Open a video, or a picture or the pages of a stack as one.

        Raises
        ------
        NothingToDo
            If the task has no list of pages.
        """
        address = media.address(request.data)
        if not media.is_stack:
            path = self._path(request, address)
            return self._movie(path, self.media.fingerprint(path))
        if not isinstance(address, list) or not address:
            raise NothingToDo(f"The task's {media.key!r} is no list of pictures.")
        paths = [self._path(request, url) for url in address]
        return self._movie(paths, digest_of("".join(map(self.media.fingerprint, paths))))

    def _movie(self, source: Any, print_: str) -> Movie:
        from sam2_plugins.core.frames import open_frames

        self.media.check_size(source)
        try:
            frames = open_frames(source)
        except Sam2PluginsError:
            raise
        except Exception as error:
            name = source.name if isinstance(source, Path) else "One of the task's pictures"
            raise MediaError(
                f"{name} cannot be read as a picture or video ({type(error).__name__}). Convert it "
                "to PNG, JPEG or MP4."
            ) from error
        self.media.check_pixels(frames.name, frames.width, frames.height)
        return Movie(frames, print_)

    def _image_tracker(self, request: TaskRequest, path: Path) -> VideoTracker:
        """Return the tracker of an image, with the features of the last clicks on it."""
        options = request.settings.tracking
        key = f"{options.identity()} {self.media.fingerprint(path)}"
        if key not in self._images:
            frames = self._movie(path, key).frames
            self._images[key] = options.tracker(frames, cache_megabytes=CACHE_MEGABYTES)
        self._images.move_to_end(key)
        if len(self._images) > IMAGES_KEPT:
            self._images.popitem(last=False)
        return self._images[key]


def _places(
    request: TaskRequest, objects: Mapping[str, images.Target], controls: Mapping[str, Control]
) -> dict[tuple[str, int], str]:
    """Return the ids that the objects of a stack have on each page already."""
    found = {}
    for result in request.results:
        track = images.track_of(result) or ""
        control = controls.get(track)
        if track in objects and control is not None and result.get("from_name") == control.name:
            found[track, int(result.get("item_index") or 0)] = id_of(result)
    return found


def _how_to_send_again(request: TaskRequest, media: Media) -> str:
    """Return what an annotator does to have a box of this project tracked again."""
    if request.config.buttons:
        return f"press {request.config.buttons[0]} with the box selected"
    return (
        "give the box another label and then its own again: Label Studio sends a box only when its "
        f"label changes. Better, add a button to the labelling config: {track_button(media.name)}"
    )


def _note(job: Job, is_whole: bool, again: str) -> str:
    """Return the message to an annotator about a track."""
    frames = f"{job.tracked.done} of {job.tracked.total} frames are tracked"
    if is_whole:
        return f"Tracked. Where it is wrong: move the box, then {again}."
    if job.stop.is_set():
        return f"{frames}: it was stopped. To go on, {again}."
    return (
        f"{frames}; the rest goes on, and is stored as a prediction when it is done. To see more, "
        f"{again}."
    )
