"""The one place where predictions are made: tasks in, predictions out, whatever goes wrong."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.tracked_object import unmet_sentence
from sam2_plugins.labelstudio_backend import images, videos
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.deliveries import Deliveries, Pending
from sam2_plugins.labelstudio_backend.errors import (
    FormatError,
    LabelStudioError,
    MediaError,
    NothingToDo,
    NotThereError,
    StillFetchingError,
)
from sam2_plugins.labelstudio_backend.jobs import Job, Jobs
from sam2_plugins.labelstudio_backend.label_config import Control, Media
from sam2_plugins.labelstudio_backend.lane import CLICK, TRACK
from sam2_plugins.labelstudio_backend.media import MediaStore
from sam2_plugins.labelstudio_backend.notes import with_note
from sam2_plugins.labelstudio_backend.project_setups import ProjectSetups
from sam2_plugins.labelstudio_backend.projects import track_button
from sam2_plugins.labelstudio_backend.provenance import is_of, marked, prompts_digest
from sam2_plugins.labelstudio_backend.regions import carried, id_of, region_of
from sam2_plugins.labelstudio_backend.request import TaskRequest, is_ours
from sam2_plugins.labelstudio_backend.settings import Settings
from sam2_plugins.labelstudio_backend.tracking import Movie, Prompts, Tracked, Tracks

if TYPE_CHECKING:
    from sam2_plugins.core.tracking.tracker import VideoTracker

log = logging.getLogger(__name__)

IMAGES_KEPT = 8
"""Images whose features are kept, so that the next click on them is quick."""
CACHE_MEGABYTES = 64
STALE_WITHIN = 2.0
"""Seconds that a set-up waits until predictions of older prompts are gone: Label Studio gives 3."""

NO_LABEL = " If it has no label yet, press its label's key."

Masks = Mapping[str, Mapping[int, ObjectMask]]


class NotYet(LabelStudioError):
    """There is no time left to make a prediction: it is made, and stored, later."""


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


class Engine:
    """Answers requests for predictions.

    Parameters
    ----------
    settings
        See `Settings`.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.from_environment()
        self.jobs = Jobs()
        self.media = MediaStore(self.settings)
        self.model_version = self.settings.model_version
        self.projects = ProjectSetups(self.settings)
        self._tracks = Tracks(
            self.settings.folder / "tracks", int(self.settings.track_gigabytes * 1e9)
        )
        self._pending = Pending(self.settings.folder / "pending")
        self._deliveries = Deliveries(self._deliver)
        self._checks = Deliveries(lambda _, check: check())
        self._unchecked: dict[str, int] = {}
        self._checked = threading.Condition()
        self._servers: dict[tuple[str, str], LabelStudio] = {}
        self._images: OrderedDict[str, VideoTracker] = OrderedDict()

    def server(self, url: str = "", token: str = "", project: str = "") -> LabelStudio | None:
        """Return the Label Studio of the settings, or else the one that a set-up named."""
        aliases = [url, self.projects.hostname(project)]
        if self.settings.url:
            url, token = self.settings.url, self.settings.api_key
        if not url.startswith(("http://", "https://")):
            return None
        if (url, token) not in self._servers:
            self._servers[url, token] = LabelStudio(url, token, self.settings.ca_file)
        server = self._servers[url, token]
        for alias in aliases:
            server.is_also(alias)
        return server

    def server_of(self, project: str) -> LabelStudio | None:
        """Return the Label Studio that a project is in."""
        return self.server(*self.projects.address(project), project)

    def predict(
        self,
        tasks: Sequence[Mapping[str, Any]],
        label_config: str,
        context: Mapping[str, Any] | None = None,
        project: str = "",
        server: LabelStudio | None = None,
    ) -> list[Any]:
        """Return one prediction a task: a dict, or an empty list for none (yet).

        Raises
        ------
        LabelStudioError
            If the request as a whole makes no sense.
        """
        drawn = context.get("result") if context is not None else None
        if drawn is not None and not isinstance(drawn, list):
            raise FormatError("The context of a request has no list of results.")
        until = time.monotonic() + self.settings.answer_within
        server = server or self.server_of(project)
        own = self.projects.settings(project)
        requests = [TaskRequest(t, label_config, drawn, server, project, until, own) for t in tasks]
        return [self._answer(request) for request in requests]

    def resume(self) -> int:
        """Take up the requests that a stopped backend has left; return how many.

        Those of tasks that have been deleted meanwhile are dropped.
        """
        taken_up = 0
        for key, kept in self._pending.all().items():
            project = str(kept.get("project", ""))
            server = self.server(str(kept.get("server", "")), project=project)
            own = self.projects.settings(project)
            config, context = str(kept.get("label_config", "")), kept.get("context")
            until = time.monotonic()
            request = TaskRequest(kept["task"], config, context, server, project, until, own)
            if request.is_gone():
                log.info(
                    "Task %s is not in Label Studio any more: its job is dropped.", request.task_id
                )
                self._pending.remove(key)
                continue
            self._answer(request)
            if key != request.key:  # the settings have changed
                self._pending.remove(key)
            taken_up += 1
        return taken_up

    def facts(self) -> dict[str, Any]:
        """Return what `/health` tells of the model, the work and the memory in use."""
        return {
            "model": self.settings.model,
            "model_version": self.model_version,
            "device": self.settings.device,
            "memory": self.settings.memory,
            "projects": self.projects.facts(),
            "jobs_running": sum(job.state == "running" for job in self.jobs.all()),
            "to_be_stored": len(self._pending),
        }

    def close(self) -> None:
        """Stop: jobs that run are left for the next start, connections are closed."""
        for work in (self._deliveries, self._checks):
            work.stop()
        self.jobs.close()
        for work in (self._deliveries, self._checks):
            work.join()
        self.media.close()
        for server in self._servers.values():
            server.close()

    # -- corrections, of which Label Studio tells by webhook

    def annotated(self, project: str, annotation: int) -> None:
        """Delete stored predictions of prompts that a person has changed since.

        Label Studio asks for no prediction of a task that has one of this model already: without
        this, *Retrieve predictions* after a correction would do nothing. What the annotation holds
        is read from Label Studio, for anybody can send a webhook.
        """
        server = self.server_of(self.projects.full_name(project))
        if server is None or not server.api_key:
            return

        def check() -> None:
            try:
                _delete_older(server, server.annotation(annotation))
            except (LabelStudioError, KeyError, TypeError, ValueError) as error:
                log.info("Annotation %s: older predictions stay: %s", annotation, error)
            finally:
                with self._checked:
                    self._unchecked[project] -= 1
                    self._checked.notify_all()

        with self._checked:
            if self._checks.add(f"{annotation} {time.monotonic_ns()}", check):
                self._unchecked[project] = self._unchecked.get(project, 0) + 1

    def wait_for_checks(self, project: str) -> None:
        """Wait, but not long, until no prediction of older prompts is left in a project."""
        id_ = project.partition(".")[0]
        with self._checked:
            self._checked.wait_for(lambda: not self._unchecked.get(id_), STALE_WITHIN)

    # -- one task

    def _answer(self, request: TaskRequest) -> Any:
        """Return a prediction, or why there is none; what goes wrong stays the task's own."""
        try:
            try:
                return self._prediction(request)
            except NotYet:
                self._later(request)
                return []
            except StillFetchingError as error:
                self._later(request)
                return self._excuse(request, str(error)) if request.interactive else []
        except Sam2PluginsError as error:
            log.info("Task %s: %s", request.task_id, error)
            return self._excuse(request, str(error))
        except Exception as error:
            log.exception("Task %s", request.task_id)
            reason = f"{type(error).__name__}: {str(error)[:150]} (a fault of the backend: its log)"
            return self._excuse(request, reason)

    def _prediction(self, request: TaskRequest, whole: bool = False) -> dict[str, Any]:
        """Make the prediction of a task.

        Parameters
        ----------
        whole
            Whether a part is of no use: nobody waits for it.

        Raises
        ------
        NotYet
            If there is no time for it.
        """
        whole = whole or not request.interactive
        if whole and time.monotonic() >= request.until:
            raise NotYet("The time of the request is over.")
        made = [self._fill(request, media) for media in request.media_to_fill()]
        results = [result for one in made for result in one.results]
        if not all(one.is_whole for one in made):
            if whole:
                raise NotYet(" ".join(one.note for one in made))
            if any(one.goes_on for one in made):
                self._later(request)
        elif self._pending:
            self._pending.remove(request.key)
        answered = {old: new for one in made for old, new in one.answered.items()}
        written = {(id_of(one), one.get("from_name")) for one in results}
        shapes = {c.name: c for media in request.config.media for c in _controls(request, media)}

        def is_rewritten(result: Mapping[str, Any]) -> bool:
            name = str(result.get("from_name"))
            return name in shapes or any(
                (new, name) in written for new in answered.get(id_of(result), ())
            )

        results += carried(request.results, answered, is_rewritten)
        if whole:
            results = marked(results, prompts_digest(request.results))
        return {
            "result": results,
            "score": _mean([iou for one in made for iou in one.ious]),
            "model_version": request.settings.model_version,
        }

    def _excuse(self, request: TaskRequest, reason: str) -> Any:
        """Return an empty prediction that says why it is empty.

        The only text that Label Studio shows of a stored prediction is the model's version, and of
        a region its meta text. A version of its own also keeps Label Studio from taking the task
        for done. To an annotator, everything comes back as it was.
        """
        version = request.settings.model_version
        if request.interactive:
            drawn = request.drawn
            boxes = any(result.get("type") == videos.TYPE for result in drawn)
            if drawn and not boxes:
                drawn = region_of(drawn, id_of(drawn[-1]))
            return {"result": with_note(drawn, reason), "score": 0.0, "model_version": version}
        version = f"{version}: {reason}"[:250]
        if any(one.get("model_version") == version for one in request.own_predictions):
            return []
        return {"result": [], "score": 0.0, "model_version": version}

    # -- kinds of media

    def _fill(self, request: TaskRequest, media: Media) -> Filled:
        if media.kind == "Video":
            return self._video(request, media)
        if media.is_stack:
            return self._stack(request, media)
        return self._image(request, media)

    def _image(self, request: TaskRequest, media: Media) -> Filled:
        path = self._path(request, media.address(request.data))
        with self._tracks.lane.turn(CLICK if request.interactive else TRACK):
            tracker = self._image_tracker(request, path)
            size = tracker.frame_size
            hints = images.read_hints(request.results, media, request.config, size)
            results: list[dict[str, Any]] = []
            answered: dict[str, tuple[str, ...]] = {}
            ious = []
            for target in images.targets(hints, request.interactive):
                control = request.config.output(media, target.label)
                tracker.reset()
                for prompt in target.prompts():
                    mask = tracker.add(prompt)
                written = images.write_mask(mask, control, target, None)
                clicks = tracker.unmet_clicks(prompt.frame, prompt.obj)
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
        path = self._path(request, media.address(request.data))
        movie = self._movie(path, self.media.fingerprint(path))
        rate = media.framerate(request.data)
        view = videos.view_of(movie.frames, rate, regions, request.settings.masks)
        prompts = {r.id: own for r in regions if (own := videos.prompts_of(r, view))}
        if not prompts:
            raise NothingToDo("All boxes here are the model's own: move one, or draw another.")

        def write(masks: Masks) -> tuple[list[dict[str, Any]], dict[str, tuple[str, ...]]]:
            tracked = [region for region in regions if region.id in prompts]
            made = [videos.answer_region(r, masks.get(r.id, {}), view) for r in tracked]
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
        urls = media.address(request.data)
        if not isinstance(urls, list) or not urls:
            raise NothingToDo(f"The task's {media.key!r} is no list of pictures.")
        paths = [self._path(request, url) for url in urls]
        print_ = hashlib.sha256("".join(map(self.media.fingerprint, paths)).encode()).hexdigest()
        movie = self._movie(paths, print_)
        size = (movie.frames.height, movie.frames.width)
        hints = images.read_hints(request.results, media, request.config, size, len(paths))
        objects = {t.id: t for t in images.targets(hints, request.interactive)}
        controls = {t.id: request.config.output(media, t.label) for t in objects.values()}
        places = _places(request, objects, controls)

        def write(masks: Masks) -> tuple[list[dict[str, Any]], dict[str, tuple[str, ...]]]:
            results: list[dict[str, Any]] = []
            answered: dict[str, tuple[str, ...]] = {}
            for obj, by_page in masks.items():
                target = objects[obj]
                pages: dict[int, str] = {}
                for page, mask in sorted(by_page.items()):
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

    # -- tracks

    def _follow(
        self,
        request: TaskRequest,
        movie: Movie,
        prompts: Prompts,
        write: Callable[[Masks], tuple[list[dict[str, Any]], dict[str, tuple[str, ...]]]],
        again: str,
    ) -> Filled:
        """Track, and answer in time: with everything, or with what there is."""
        settings, options = request.settings, request.settings.tracking

        def steps(tracked: Tracked) -> Iterator[None]:
            with movie.frames:
                yield from self._tracks.follow(
                    movie, prompts, options, settings.max_frames, tracked
                )

        about = {"project": request.project, "task": request.task_id, "objects": sorted(prompts)}
        names = self._tracks.names(movie, prompts, options)
        text = json.dumps([about, names, settings.max_frames])
        key = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
        frames = {obj: frozenset(prompt.frame for prompt in own) for obj, own in prompts.items()}
        job = self.jobs.join(key, about, steps, frames)
        job.wait(request.until - time.monotonic(), somebody=request.until < float("inf"))
        if job.state == "failed":
            raise LabelStudioError(job.error)
        masks = job.tracked.snapshot()
        results, answered = write(masks)
        ious = [m.iou for by_frame in masks.values() for m in by_frame.values() if m.visible]
        is_whole = job.state in ("done", "stored")
        goes_on = not is_whole and not job.stop.is_set()
        return Filled(results, answered, ious, _note(job, again), is_whole, goes_on)

    # -- later

    def _later(self, request: TaskRequest) -> None:
        """Keep a request whose whole answer is stored when it is there."""
        if request.task_id is None:
            return
        kept = {
            "task": request.task,
            "label_config": request.label_config,
            "context": request.context,
            "project": request.project,
            "server": request.server.url if request.server else "",
        }
        key = request.key
        self._pending.put(key, kept)
        if request.server is None or not request.server.api_key:
            log.warning(
                "Task %s: its result cannot be stored: set LABEL_STUDIO_URL and "
                "LABEL_STUDIO_API_KEY. Whoever sends it again gets it at once.",
                request.task_id,
            )
            return
        log.info("Task %s: the result is stored when it is done.", request.task_id)
        self._deliveries.add(key, replace(request, until=float("inf")))

    def _deliver(self, key: str, request: TaskRequest) -> None:
        """Make a whole prediction, and store it."""
        server, task = request.server, request.task_id
        if server is None or task is None:
            return
        try:
            made = self._prediction(request, whole=True)
        except NotYet:  # stopped by a person, or by the end of the backend
            if not self.jobs.is_closing:
                self._pending.remove(key)
            return
        except Sam2PluginsError as error:
            made = self._excuse(replace(request, context=None), str(error))
        if made:
            try:
                server.replace_prediction(task, **made)
            except NotThereError:
                log.info("Task %s is not in Label Studio any more.", task)
        self._pending.remove(key)

    # -- what is loaded

    def _path(self, request: TaskRequest, url: Any) -> Path:
        if not isinstance(url, str) or not url:
            raise FormatError(
                "The task has no address of its video or image where the labelling config expects "
                "it. Compare the config's value=\"$…\" with the task's data."
            )
        return self.media.get(url, request.task_id, request.server, request.until)

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


def _delete_older(server: LabelStudio, annotation: Mapping[str, Any]) -> None:
    """Delete predictions of this backend that are not of an annotation's prompts."""
    results = [one for one in annotation["result"] if isinstance(one, Mapping)]
    digest = prompts_digest(results)
    if digest and not annotation.get("was_cancelled"):
        for one in server.predictions(int(annotation["task"])):
            if is_ours(one) and not is_of(one, digest):
                server.delete_prediction(int(one["id"]))


def _controls(request: TaskRequest, media: Media) -> list[Control]:
    """Return the controls whose regions are made anew."""
    return request.config.controls_of(media) if request.config.is_filled(media) else []


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


def _note(job: Job, again: str) -> str:
    """Return the message to an annotator about a track."""
    frames = f"{job.tracked.done} of {job.tracked.total} frames are tracked"
    if job.state in ("done", "stored"):
        return f"Tracked. Where it is wrong: move the box, then {again}."
    if job.stop.is_set():
        return f"{frames}: it was stopped. To go on, {again}."
    return (
        f"{frames}; the rest goes on, and is stored as a prediction when it is done. To see more, "
        f"{again}."
    )


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None and value == value]
    return round(sum(known) / len(known), 4) if known else 0.0
