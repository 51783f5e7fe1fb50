"""The one place where predictions are made: model, turns, caches and running tracks."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.labelstudio_backend import images, videos
from sam2_plugins.labelstudio_backend.ask import Ask
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.errors import (
    FormatError,
    LabelStudioError,
    NothingToDo,
)
from sam2_plugins.labelstudio_backend.jobs import Job, Jobs, Pending
from sam2_plugins.labelstudio_backend.label_config import Media, parse_label_config
from sam2_plugins.labelstudio_backend.lane import CLICK, Lane
from sam2_plugins.labelstudio_backend.media import MediaStore, fingerprint
from sam2_plugins.labelstudio_backend.notes import with_note
from sam2_plugins.labelstudio_backend.settings import Settings
from sam2_plugins.labelstudio_backend.tracking import Movie, Prompts, Tracked, TrackStore, track

if TYPE_CHECKING:
    from sam2_plugins.core.model import Sam2Model
    from sam2_plugins.core.tracking.tracker import VideoTracker

log = logging.getLogger(__name__)

IMAGES_KEPT = 8
"""Images whose features are kept, so that the next click on them is quick."""
CACHE_MEGABYTES = 64

Masks = Mapping[str, Mapping[int, ObjectMask]]


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
        self._lane = Lane()
        self._store = TrackStore(
            self.settings.folder / "tracks", f"{self.model_version}, {self.settings.memory}"
        )
        self._pending = Pending(self.settings.folder / "pending")
        self._servers: dict[tuple[str, str], LabelStudio] = {}
        self._images: OrderedDict[str, VideoTracker] = OrderedDict()

    def server(self, url: str = "", token: str = "") -> LabelStudio | None:
        """Return the Label Studio of the settings, or else the one that has told of itself."""
        if self.settings.url:
            url, token = self.settings.url, self.settings.api_key
        if not url.startswith(("http://", "https://")):
            return None
        if (url, token) not in self._servers:
            self._servers[url, token] = LabelStudio(url, token)
        return self._servers[url, token]

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
        config = parse_label_config(label_config)
        drawn = context.get("result") if context is not None else None
        if drawn is not None and not isinstance(drawn, list):
            raise FormatError("The context of a request has no list of results.")
        until = time.monotonic() + self.settings.answer_within
        asks = [Ask(t, config, drawn, server or self.server(), project, until) for t in tasks]
        return [self._answer(ask) for ask in asks]

    def resume(self) -> int:
        """Take up the jobs that a stopped backend has left; return how many.

        Those of tasks that have been deleted meanwhile are dropped.
        """
        taken_up = 0
        for key, request in self._pending.all().items():
            config = parse_label_config(request["label_config"])
            server = self.server(request.get("server", ""))
            ask = Ask(request["task"], config, request["context"], server, request["project"], 0)
            if ask.is_gone():
                log.info(
                    "Task %s is not in Label Studio any more: its job is dropped.", ask.task_id
                )
                self._pending.remove(key)
                continue
            self._answer(ask)
            taken_up += 1
        return taken_up

    def close(self) -> None:
        """Stop: jobs that run are left for the next start, connections are closed."""
        self.jobs.close()
        self.media.close()
        for server in self._servers.values():
            server.close()

    # -- one task

    def _answer(self, ask: Ask) -> Any:
        try:
            media = ask.media_to_fill()
            if media.kind == "Video":
                return self._video(ask, media)
            if media.is_stack:
                return self._stack(ask, media)
            return self._image(ask, media)
        except Sam2PluginsError as error:
            log.info("Task %s: %s", ask.task_id, error)
            return self._excuse(ask, str(error))

    def _excuse(self, ask: Ask, reason: str) -> Any:
        """Return an empty prediction that says why it is empty.

        The only text that Label Studio shows of a stored prediction is the model's version, and of
        a region its meta text. A version of its own also keeps Label Studio from taking the task
        for done.
        """
        if ask.context is not None:
            boxes = [result for result in ask.context if result.get("type") == videos.TYPE]
            return self._prediction(with_note(boxes or ask.context[-1:], reason))
        version = f"{self.model_version}: {reason}"[:250]
        told = [p for p in ask.task.get("predictions") or [] if isinstance(p, Mapping)]
        if any(p.get("model_version") == version for p in told):
            return []
        return {"result": [], "score": 0.0, "model_version": version}

    def _prediction(self, result: list[dict[str, Any]], score: float = 0.0) -> dict[str, Any]:
        return {"result": result, "score": score, "model_version": self.model_version}

    # -- kinds of tasks

    def _image(self, ask: Ask, media: Media) -> dict[str, Any]:
        path = self._path(ask, ask.data.get(media.key))
        with self._lane.turn(CLICK):
            tracker = self._image_tracker(path)
            said = images.read_said(ask.results, media, ask.config, tracker.frame_size)
            found = []
            for target in images.targets(said, ask.context is not None):
                control = ask.config.output(media, target.label)
                tracker.reset()
                for prompt in target.prompts():
                    mask = tracker.add(prompt)
                found.append((images.write_mask(mask, control, target, None), mask))
        result = [written for written, _ in found if written is not None]
        if not result:
            raise NothingToDo("The model finds no object there: try another click, or a box.")
        return self._prediction(result, _mean([mask.iou for written, mask in found if written]))

    def _video(self, ask: Ask, media: Media) -> Any:
        names = {c.name for c in ask.config.controls_of(media) if c.type == videos.TYPE}
        regions = [r for r in videos.read_regions(ask.results) if r.from_name in names]
        if not regions:
            raise NothingToDo("There is no box to track yet: draw one, and save the annotation.")
        path = self._path(ask, ask.data.get(media.key))
        movie = self._movie(path, fingerprint(path))
        rate = media.framerate(ask.data)
        view = videos.view_of(movie.frames, rate, regions, self.settings.masks)
        prompts = {r.id: said for r in regions if (said := videos.prompts_of(r, view))}
        if not prompts:
            raise NothingToDo("All boxes here are the model's own: move one, or draw another.")

        def write(masks: Masks) -> list[dict[str, Any]]:
            return [videos.answer_region(r, masks.get(r.id, {}), view) for r in regions]

        return self._follow(ask, movie, prompts, write)

    def _stack(self, ask: Ask, media: Media) -> Any:
        urls = ask.data.get(media.key)
        if not isinstance(urls, list) or not urls:
            raise NothingToDo(f"The task's {media.key!r} is no list of pictures.")
        paths = [self._path(ask, url) for url in urls]
        print_ = hashlib.sha256("".join(map(fingerprint, paths)).encode()).hexdigest()
        movie = self._movie(paths, print_)
        size = (movie.frames.height, movie.frames.width)
        said = images.read_said(ask.results, media, ask.config, size)
        objects = {t.id: t for t in images.targets(said, ask.context is not None)}
        controls = {t.id: ask.config.output(media, t.label) for t in objects.values()}

        def write(masks: Masks) -> list[dict[str, Any]]:
            written = [
                images.write_mask(mask, controls[obj], objects[obj], page)
                for obj, by_page in masks.items()
                for page, mask in sorted(by_page.items())
            ]
            return [result for result in written if result is not None]

        prompts = {target.id: target.prompts() for target in objects.values()}
        return self._follow(ask, movie, prompts, write)

    # -- tracks

    def _follow(
        self, ask: Ask, movie: Movie, prompts: Prompts, write: Callable[[Masks], list[dict]]
    ) -> Any:
        """Track, and answer in time: with everything, or with what there is."""

        def steps(tracked: Tracked) -> Iterator[None]:
            with movie.frames:
                model = self._model()
                yield from track(
                    model,
                    self._lane,
                    self._store,
                    movie,
                    prompts,
                    self.settings.max_frames,
                    tracked,
                    self.settings.memory,
                )

        def finished(job: Job) -> Any:
            if job.state == "failed":
                return self._excuse(ask, job.error)
            masks = job.tracked.snapshot()
            ious = [m.iou for by_frame in masks.values() for m in by_frame.values() if m.visible]
            return self._prediction(write(masks), _mean(ious))

        about = {"project": ask.project, "task": ask.task_id, "objects": sorted(prompts)}
        files = sorted(self._store.path(movie, said).stem for said in prompts.values())
        key = hashlib.sha256(json.dumps([about, files]).encode()).hexdigest()[:32]
        job = self.jobs.join(key, about, steps)
        if not job.ended.wait(max(0.0, ask.until - time.monotonic())):
            self._keep(key, ask)
            if job.hand_over(lambda job: self._deliver(key, ask, job, finished)):
                log.info("Task %s: job %s goes on by itself.", ask.task_id, job.id)
                return [] if ask.context is None else _so_far(finished(job), job)
            self._pending.remove(key)
        return finished(job)

    def _keep(self, key: str, ask: Ask) -> None:
        request = {
            "task": ask.task,
            "label_config": ask.config.xml,
            "context": ask.context,
            "project": ask.project,
            "server": ask.server.url if ask.server else "",
        }
        self._pending.put(key, request)

    def _deliver(self, key: str, ask: Ask, job: Job, finished: Callable[[Job], Any]) -> None:
        """Store the result of a job that nobody waits for."""
        if job.state == "left":
            return
        if job.state != "cancelled" and ask.task_id is not None:
            if ask.server is None or not ask.server.api_key:
                raise LabelStudioError(
                    "It cannot be stored: set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY. Whoever "
                    "asks for it again gets it at once."
                )
            made = finished(job)
            if made:
                ask.server.replace_prediction(ask.task_id, **made)
        self._pending.remove(key)

    # -- what is loaded

    def _model(self) -> Sam2Model:
        from sam2_plugins.core.checkpoints import cached_model

        return cached_model(self.settings.model, self.settings.device)

    def _path(self, ask: Ask, url: Any) -> Path:
        if not isinstance(url, str) or not url:
            raise FormatError(
                "The task has no address of its video or image where the labelling config expects "
                "it. Compare the config's value=\"$…\" with the task's data."
            )
        return self.media.get(url, ask.task_id, ask.server)

    def _movie(self, source: Any, print_: str) -> Movie:
        from sam2_plugins.core.frames import open_frames

        return Movie(open_frames(source), print_)

    def _image_tracker(self, path: Path) -> VideoTracker:
        """Return the tracker of an image, with the features of the last clicks on it."""
        from sam2_plugins.core.tracking.tracker import VideoTracker

        key = fingerprint(path)
        if key not in self._images:
            frames = self._movie(path, key).frames
            self._images[key] = VideoTracker(self._model(), frames, cache_megabytes=CACHE_MEGABYTES)
        self._images.move_to_end(key)
        if len(self._images) > IMAGES_KEPT:
            self._images.popitem(last=False)
        return self._images[key]


def _so_far(prediction: dict[str, Any], job: Job) -> dict[str, Any]:
    """Say of an answer that there is more to come."""
    told = (
        f"{job.tracked.done} of {job.tracked.total} frames are tracked; the rest goes on. Press "
        "the label's key again to see more; all of it is stored as a prediction when it is done."
    )
    return {**prediction, "result": with_note(prediction["result"], told)}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return round(sum(known) / len(known), 4) if known else 0.0
