"""What a person changes in Label Studio: predictions of how it was before are deleted.

Label Studio requests no prediction of a task that has one of this model already: without this,
*Retrieve predictions* after a correction would do nothing. Each prediction is marked with a digest
of the prompts that it comes from.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sam2_plugins.core.files import digest_of
from sam2_plugins.labelstudio_backend import images, keyframes
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.deliveries import Deliveries
from sam2_plugins.labelstudio_backend.errors import FormatError, LabelStudioError
from sam2_plugins.labelstudio_backend.formats.geometry import number
from sam2_plugins.labelstudio_backend.formats.video_rectangle import (
    VideoRegion,
    read_region,
    read_regions,
)
from sam2_plugins.labelstudio_backend.label_config import SHAPES, VIDEO_SHAPE, is_shape
from sam2_plugins.labelstudio_backend.regions import NOTE, note_of, objects_in
from sam2_plugins.labelstudio_backend.request import TaskRequest

log = logging.getLogger(__name__)

_PROMPTS, _SOURCE, _TASK = "prompts", "annotation", "task"
PATIENCE = 2.0
"""Seconds that a set-up waits for older predictions to be deleted; Label Studio waits 3."""


class Corrections:
    """Deletes stored predictions of what a person has changed since, in threads."""

    def __init__(self) -> None:
        self._work = Deliveries(lambda _, check: check())
        self._unchecked: Counter[str] = Counter()
        self._checked = threading.Condition()

    def delete(self, project: str, server: LabelStudio, find: Callable[[], Iterable[int]]) -> None:
        """Delete the predictions of a project that are found outdated."""

        def check() -> None:
            try:
                # All are read before: a task without a prediction is none of the next page.
                for one in list(find()):
                    server.delete_prediction(one)
            except (LabelStudioError, KeyError, TypeError, ValueError) as error:
                log.info("Project %s: outdated predictions stay: %s", project, error)
            finally:
                with self._checked:
                    self._unchecked[project] -= 1
                    self._checked.notify_all()

        with self._checked:
            if self._work.add(str(time.monotonic_ns()), check):
                self._unchecked[project] += 1

    def wait(self, project: str) -> None:
        """Wait up to `PATIENCE` until no outdated prediction is left in a project."""
        project = project.partition(".")[0]
        with self._checked:
            self._checked.wait_for(lambda: not self._unchecked[project], PATIENCE)

    def stop(self) -> None:
        """Check no more, and wait for what is being checked."""
        self._work.stop()
        self._work.join()


def outdated(request: TaskRequest) -> list[int]:
    """Return the predictions of this backend that a task would not get any more.

    They are of an annotation that is gone or has no region any more, of prompts that are not those
    of the latest annotation, or of controls or a frame rate that the labelling config does not have
    any more. What is drawn in an editor alone is newer than what was saved before it was tracked.
    """
    drawn, made = prompts_digest(request.results), request.task.get("created_at")
    there = {
        one.get("id")
        for one in request.annotations
        if "result" not in one or any(map(is_shape, objects_in(one["result"])))
    }
    latest = [one for one in request.annotations if one.get("id") == request.source]
    saved = str(latest[0].get("updated_at", "")) if latest else ""
    names = {control.name for control in request.config.controls}
    rates = {media.name: media.rate for media in request.config.media if media.kind == "Video"}
    found = []
    for one in request.own_predictions:
        results, mark = objects_in(one.get("result")), _mark(one)
        if results and not mark:  # of another program, whose name for it begins like ours
            continue
        is_copy = mark.get(_TASK) != made  # imported: nobody can make it anew without its prompts
        source = None if is_copy else mark.get(_SOURCE)
        is_other = mark.get(_PROMPTS) != drawn
        is_gone = is_other and source is not None and source not in there
        is_saved = source is not None or str(one.get("created_at", "")) < saved
        is_older = is_other and is_saved and drawn and request.source is not None
        shown = [result.get("from_name") in names for result in results if is_shape(result)]
        is_foreign = bool(shown) and not any(shown)
        has_other_rate = any(_has_other_rate(r, rates) for r in read_regions(results, {}))
        if is_gone or is_older or (not is_copy and (is_foreign or has_other_rate)):
            found.append(int(one["id"]))
    return found


def _has_other_rate(region: VideoRegion, rates: Mapping[str, float]) -> bool:
    """Whether a region was made at another frame rate than that of its video."""
    ours = [k for k in region.keyframes if keyframes.is_ours(k)]
    rate = rates.get(region.to_name)
    return rate is not None and any(
        not math.isclose(number(k.raw, "time", 0) * rate, k.frame, rel_tol=1e-6) for k in ours
    )


def prompts_digest(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a short text that is the same for the same prompts of a person; "" for none."""
    prompts = sorted(json.dumps(one, default=str, sort_keys=True) for one in _prompts(results))
    return digest_of("\n".join(prompts), 16) if prompts else ""


def marked(
    results: list[dict[str, Any]], digest: str, request: TaskRequest
) -> list[dict[str, Any]]:
    """Return results with a mark of the prompts, the annotation and the task they come from."""
    about = {_PROMPTS: digest, _SOURCE: request.source, _TASK: request.task.get("created_at")}
    for place, result in enumerate(results):
        if "id" in result:
            meta = result.get("meta")
            meta = dict(meta) if isinstance(meta, Mapping) else {}
            meta[NOTE] = {**note_of(result), **about}
            return [*results[:place], {**result, "meta": meta}, *results[place + 1 :]]
    return results


def mark_of(prediction: Mapping[str, Any]) -> str | None:
    """Return the digest of the prompts that a prediction is marked with."""
    return _mark(prediction).get(_PROMPTS)


def _mark(prediction: Mapping[str, Any]) -> Mapping[str, Any]:
    notes = map(note_of, objects_in(prediction.get("result")))
    return next((note for note in notes if _PROMPTS in note), {})


def _prompts(results: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    for result in results:
        kind = str(result.get("type", "")).lower()
        if kind == VIDEO_SHAPE:
            try:
                region = read_region(result)
            except FormatError:
                yield [result.get("id"), result.get("value")]
                continue
            for one in region.keyframes:
                if not keyframes.is_ours(one):
                    box = [round(side, 3) for side in one.box]
                    turned = round(one.rotation, 3)
                    yield [region.id, region.labels, one.frame, box, one.enabled, turned]
        elif kind.removesuffix("labels") in SHAPES and not images.is_ours(result):
            value = result.get("value")
            if isinstance(value, Mapping):
                labels = value.get(kind) or value.get("labels")
                yield [result.get("item_index") or 0, kind, images.digest(value), labels]
