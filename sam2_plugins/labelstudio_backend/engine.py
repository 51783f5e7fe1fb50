"""The one place where predictions are made: tasks in, predictions out, errors included."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.labelstudio_backend import everything, images, videos
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.corrections import (
    Corrections,
    mark_of,
    marked,
    outdated,
    prompts_digest,
)
from sam2_plugins.labelstudio_backend.deliveries import Deliveries, Pending
from sam2_plugins.labelstudio_backend.errors import (
    FormatError,
    LabelStudioError,
    NotThereError,
    ServerError,
    StillFetchingError,
)
from sam2_plugins.labelstudio_backend.label_config import VIDEO_SHAPE
from sam2_plugins.labelstudio_backend.project_setups import ProjectSetups
from sam2_plugins.labelstudio_backend.regions import (
    beside,
    carried,
    id_of,
    objects_in,
    region_of,
    reparented,
    with_note,
)
from sam2_plugins.labelstudio_backend.request import TaskRequest
from sam2_plugins.labelstudio_backend.settings import Settings
from sam2_plugins.labelstudio_backend.work import Filled, Work

log = logging.getLogger(__name__)

OPENS_WITHIN = 10.0
"""Seconds for a whole task by itself, if its result can be stored later: Label Studio requests one
for a task that is opened and has none, and shows the task when it is answered."""

LATELY, SAVED_WITHIN = 100.0, 10.0
"""Seconds for which it is known what was answered, and in which Label Studio has saved that: a task
that is opened meanwhile has no prediction yet, and is asked for again."""

_OF_ONE = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED")
_OF_MANY = ("ANNOTATIONS_CREATED", "ANNOTATIONS_DELETED")
WEBHOOKS = (*_OF_ONE, *_OF_MANY, "PROJECT_UPDATED")
"""What Label Studio reports that may outdate predictions."""
_RECONFIGURED, _STARTED = "another labelling config", "the first set-up since the start"
MISSED = 200
"""Tasks whose predictions are checked at that: the last ones that were changed, while the backend
was away perhaps."""

_GONE = "Task %s is not in Label Studio any more: its result is dropped."


class NotYet(LabelStudioError):
    """There is no time left to make a prediction: it is made and stored later."""


class Engine:
    """Answers requests for predictions."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.from_environment()
        self.work = Work(self.settings)
        self.model_version = self.settings.model_version
        self.projects = ProjectSetups(self.settings)
        self._pending = Pending(self.settings.folder / "pending")
        self._deliveries = Deliveries(self._deliver)
        self.corrections = Corrections()
        self._storing = threading.Lock()
        self._asking = threading.Lock()
        self._asked: set[str] = set()  # keys of what is being answered
        self._set_up: set[str] = set()  # projects, since the start
        self._answered: dict[str, float] = {}  # keys of what was answered lately, and when

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
        server = server or self.projects.server(project)
        seconds = self.settings.answer_within
        known: frozenset[str] = frozenset()
        api = server if server is not None and server.api_key else None
        if context is None and api is not None:
            known = self._pending.keys()
            if len(tasks) == 1:
                seconds = min(seconds, OPENS_WITHIN)
        until = time.monotonic() + seconds
        own = self.projects.settings(project)
        requests = [TaskRequest(t, label_config, drawn, server, project, until, own) for t in tasks]
        keys = [_kept_as(one) for one in requests]
        with self._asking:
            others = self._asked & set(keys)  # answered twice, Label Studio would keep both
            ours = {key for key in keys if key is not None} - others
            self._asked |= ours
            begun = time.monotonic()
            lately = {key: at for key, at in self._answered.items() if begun - at < LATELY}
            self._answered = {**lately}
        answers: list[Any] = []
        try:
            for one, key in zip(requests, keys, strict=True):
                is_there = key in lately and _is_there(one, begun + SAVED_WITHIN)
                skip = key in others or is_there
                answers.append([] if skip else self._answer(one, known))
            made = [(o, k, m) for o, k, m in zip(requests, keys, answers, strict=True) if k and m]
            with self._asking:
                for _, key, answer in made:
                    if answer["model_version"] == own.model_version:
                        self._answered[key] = time.monotonic()
            told = [one for one, _, _ in made if one.told_predictions]
            if told and api is not None:
                find = partial(_still_told, told, api)
                self.corrections.delete(project.partition(".")[0], api, find)
            return answers
        finally:
            with self._asking:
                self._asked -= ours

    def resume(self) -> int:
        """Resume the requests that a stopped backend left unfinished; return their number.

        Those of tasks that have been deleted meanwhile are dropped. While another backend runs in
        the same folder, they are its own, and this one waits for its end.
        """
        taken_up = 0
        while not self._pending.claim():
            if self.work.jobs.closing.wait(1.0):
                return 0
        for key, kept in self._pending.all().items():
            project = str(kept.get("project", ""))
            server = self.projects.server(project, str(kept.get("server", "")))
            own = self.projects.settings(project)
            config, context = str(kept.get("label_config", "")), kept.get("context")
            until = time.monotonic()
            request = TaskRequest(kept["task"], config, context, server, project, until, own)
            if request.now() is None:
                log.info(_GONE, request.task_id)
                self._pending.remove(key)
                continue
            if request.api is not None:
                self._later(request)
            else:  # nobody takes the answer, but the same request, sent again, finds it done
                self._answer(request)
            if key != request.key:  # the settings have changed
                self._pending.remove(key)
            taken_up += 1
        return taken_up

    def facts(self) -> dict[str, Any]:
        """Return what `/health` shows of the model, the work and the memory in use."""
        return {
            "model": self.settings.model,
            "model_version": self.model_version,
            "device": self.settings.device,
            "memory": self.settings.memory,
            "projects": self.projects.facts(),
            "jobs_running": sum(job.state == "running" for job in self.work.jobs.all()),
            "to_be_stored": len(self._pending),
        }

    def close(self) -> None:
        """Stop: jobs that run are left for the next start, connections are closed."""
        self._deliveries.stop()
        self.work.jobs.close()
        self.corrections.stop()
        self._deliveries.join()
        self._pending.close()
        self.projects.close()

    def set_up(
        self, project: str, hostname: str, token: str, config: str, params: Any, peer: str = ""
    ) -> str:
        """Take a set-up; return the version of the model, once outdated predictions are gone."""
        own = self.projects.set_up(project, hostname, token, params, peer)
        number = project.partition(".")[0]
        if config and self.projects.is_reconfigured(project, config):
            self.notified(_RECONFIGURED, number)
        elif project not in self._set_up:
            self.notified(_STARTED, number)
        self._set_up.add(project)
        self.corrections.wait(project)
        return own.model_version

    def notified(self, action: str, project: str, annotation: int | None = None) -> None:
        """Delete predictions that are outdated by what Label Studio reports.

        What has become of the tasks is read from Label Studio: anybody can send a webhook.
        """
        name = self.projects.full_name(project)
        server, own = self.projects.server(name), self.projects.settings(name)
        if server is None or not server.api_key:
            return

        def find() -> Iterator[int]:
            config = server.label_config(project)
            if action in _OF_ONE:
                found = server.request("GET", f"/api/annotations/{annotation}/")
                task = server.task(project, int(found["task"]))
                tasks: Iterable[dict[str, Any]] = [task] if task else []
            elif action != "PROJECT_UPDATED" or self.projects.is_reconfigured(name, config):
                changed = server.predicted_tasks(project, just_now=action in _OF_MANY)
                tasks = islice(changed, MISSED if action == _STARTED else None)
            else:
                tasks = ()
            for task in tasks:
                yield from outdated(TaskRequest(task, config, None, server, name, math.inf, own))

        self.corrections.delete(project, server, find)

    # -- one task

    def _answer(self, request: TaskRequest, known: Collection[str] = ()) -> Any:
        """Return a prediction, or why there is none: an error affects this task alone.

        Parameters
        ----------
        known
            Keys of requests that were to be stored when this one came: answered too, the task would
            have the prediction twice.
        """
        try:
            try:
                if known and request.key in known:
                    raise NotYet("It is stored when it is done.")
                made = self._prediction(request)
                return [] if self._is_stored(request, made) else made
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
            Whether only a complete prediction is useful, because nobody waits for it.
        """
        whole = whole or not request.interactive
        if whole and time.monotonic() >= request.until:
            raise NotYet("The time of the request is over.")
        made, failed = self._filled(request)
        results = [result for one in made for result in one.results]
        if not all(one.is_whole for one in made):
            if whole:
                raise NotYet(" ".join(one.note for one in made))
            if any(one.goes_on for one in made):
                self._later(request)
        elif self._pending and request.until < math.inf:  # it is answered, not to be stored
            self._pending.remove(request.key)
        answered = {old: new for one in made for old, new in one.answered.items()}
        written = {(id_of(one), one.get("from_name")) for one in results}
        shapes = {c.name for media in request.config.media if media.takers for c in media.controls}

        def is_rewritten(result: Mapping[str, Any]) -> bool:
            name = str(result.get("from_name"))
            return name in shapes or any(
                (new, name) in written for new in answered.get(id_of(result), ())
            )

        left = {region: reason for one in made for region, reason in one.left.items()}
        for one in carried(request.results, answered, is_rewritten):
            reason = left.get(id_of(one)) or failed.get(str(one.get("to_name")))
            results += with_note([one], reason) if reason else [one]
        results = reparented(results, answered)
        for reason in (told := dict.fromkeys([*failed.values(), *left.values()])):
            log.info("Task %s, a part of it: %s", request.task_id, reason)
        if whole:
            results = marked(results, prompts_digest(request.results), request)
        ious = [iou for one in made for iou in one.ious if iou is not None and iou == iou]
        version = request.settings.model_version
        if told and not request.interactive:
            version = _version(version, " ".join(told))
        return {
            "result": results,
            "score": round(sum(ious) / len(ious), 4) if ious else 0.0,
            "model_version": version,
        }

    def _is_stored(self, request: TaskRequest, made: Mapping[str, Any]) -> bool:
        """Whether the task has the same incomplete prediction, for which it is asked again."""
        version, mark = made["model_version"], mark_of(made)
        return version != request.settings.model_version and any(
            (one.get("model_version"), mark_of(one)) == (version, mark)
            for one in request.own_predictions
        )

    def _filled(self, request: TaskRequest) -> tuple[list[Filled], dict[str, str]]:
        """Fill each video and picture of a task; return why the others could not be, by name."""
        made, failed = [], {}
        for media in request.media_to_fill():
            if request.settings.everything and request.is_bare:
                fill = everything.fill
            elif media.kind == "Video":
                fill = videos.fill
            else:
                fill = images.fill_stack if media.is_stack else images.fill
            try:
                made.append(fill(request, media, self.work))
            except StillFetchingError:
                raise
            except Sam2PluginsError as error:
                failed[media.name] = error
        if not made:
            raise next(iter(failed.values()))
        return made, {name: str(error) for name, error in failed.items()}

    def _excuse(self, request: TaskRequest, reason: str) -> Any:
        """Return an empty prediction, with the reason why it is empty.

        The only text that Label Studio shows of a stored prediction is the model's version, and of
        a region its meta text. A version of its own also keeps Label Studio from taking the task
        for done. An annotator gets back what was drawn, unchanged.
        """
        version = request.settings.model_version
        if request.interactive:
            drawn = request.drawn
            boxes = any(result.get("type") == VIDEO_SHAPE for result in drawn)
            if drawn and not boxes:
                drawn = region_of(drawn, id_of(drawn[-1]))
            return {"result": with_note(drawn, reason), "score": 0.0, "model_version": version}
        version = _version(version, reason)
        if any(one.get("model_version") == version for one in request.own_predictions):
            return []
        return {"result": [], "score": 0.0, "model_version": version}

    # -- later

    def _later(self, request: TaskRequest) -> None:
        """Keep a request, whose complete result is stored when it is ready."""
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
        if request.api is None:
            log.warning(
                "Task %s: its result cannot be stored: set LABEL_STUDIO_URL and "
                "LABEL_STUDIO_API_KEY. The same request, sent again, gets it at once.",
                request.task_id,
            )
            return
        log.info("Task %s: the result is stored when it is done.", request.task_id)
        self._deliveries.add(key, replace(request, until=float("inf")))

    def _deliver(self, key: str, request: TaskRequest) -> None:
        """Make a whole prediction of what is drawn and wanted by then, and store it."""
        api, task = request.api, request.task_id
        if api is None or task is None:
            return
        while True:
            try:
                made = self._prediction(request, whole=True)
            except NotYet:  # stopped by a person, or by the end of the backend
                if not self.work.jobs.closing.is_set():
                    self._pending.remove(key)
                return
            except Sam2PluginsError as error:
                made = self._excuse(replace(request, context=None), str(error))
            latest = request.now()
            if latest is None or _same(request, latest):
                break
            request = latest
        if latest is None:
            log.info(_GONE, task)
        elif made:
            with suppress(NotThereError), self._storing:
                self._store(api, task, made, latest)
            with self._asking:
                self._answered[request.key] = time.monotonic()
        self._pending.remove(key)

    def _store(
        self, server: LabelStudio, task: int, made: dict[str, Any], request: TaskRequest
    ) -> None:
        """Store a prediction in place of earlier ones of this model.

        An annotator sends the boxes of one label: those of the other labels, which were tracked
        before, and those of other annotators stay in it.
        """
        earlier = server.predictions(task)
        told = [one["id"] for one in request.told_predictions]
        version = made["model_version"]
        earlier = [o for o in earlier if o.get("model_version") == version or o["id"] in told]
        if request.interactive and made["result"]:
            results = list(made["result"])
            for one in sorted(earlier, key=lambda one: -int(one["id"])):
                results += beside(results, objects_in(one.get("result")))
            others = results[len(made["result"]) :]
            digest = prompts_digest([*request.results, *others])
            made = {**made, "result": marked(results, digest, request)}
        server.replace_predictions(earlier, task, made)


def _kept_as(request: TaskRequest) -> str | None:
    """Key of a request whose answer is stored; None of others, and of one that makes no sense."""
    if request.interactive or request.task_id is None:
        return None
    with suppress(Sam2PluginsError):  # its answer tells why
        return request.key
    return None


def _still_told(requests: Iterable[TaskRequest], api: LabelStudio) -> Iterator[int]:
    """Yield the predictions of requests that say why they lack something, if Label Studio has them.

    Anybody can send a request.
    """
    for request in requests:
        ids = [one.get("id") for one in request.told_predictions]
        task = {"predictions": api.predictions(request.task_id or 0)}
        told = replace(request, task=task).told_predictions
        yield from (int(one["id"]) for one in told if one.get("id") in ids)


def _is_there(request: TaskRequest, until: float) -> bool:
    """Whether a task has a prediction of this model, or gets it by then."""
    api, task, version = request.api, request.task_id, request.settings.model_version
    with suppress(ServerError):
        while api is not None and task is not None:
            if any(one.get("model_version") == version for one in api.predictions(task)):
                return True
            if time.monotonic() > until:
                break
            time.sleep(0.5)
    return False


def _same(one: TaskRequest, other: TaskRequest) -> bool:
    """Whether two requests for a task have the same answer."""
    same = prompts_digest(one.drawn) == prompts_digest(other.drawn)
    about = [(request.label_config, request.task.get("data")) for request in (one, other)]
    return same and about[0] == about[1]


def _version(version: str, reason: str) -> str:
    """Return the version of a prediction that lacks something, with the reason."""
    return f"{version}: {reason}"[:250]
