"""Corrections, which Label Studio reports by webhook: predictions of older prompts are deleted.

Label Studio requests no prediction of a task that has one of this model already: without this,
*Retrieve predictions* after a correction would do nothing. Each prediction is marked with a digest
of the prompts that it comes from.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sam2_plugins.core.files import digest_of
from sam2_plugins.labelstudio_backend import images, keyframes
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.deliveries import Deliveries
from sam2_plugins.labelstudio_backend.errors import FormatError, LabelStudioError
from sam2_plugins.labelstudio_backend.formats.video_rectangle import read_region
from sam2_plugins.labelstudio_backend.label_config import SHAPES, VIDEO_SHAPE
from sam2_plugins.labelstudio_backend.regions import NOTE, note_of
from sam2_plugins.labelstudio_backend.request import is_ours, objects_in

log = logging.getLogger(__name__)

_PROMPTS = "prompts"
PATIENCE = 2.0
"""Seconds that a set-up waits for older predictions to be deleted; Label Studio waits 3."""


class Corrections:
    """Deletes stored predictions of prompts that a person has changed since, in threads."""

    def __init__(self) -> None:
        self._work = Deliveries(lambda _, check: check())
        self._unchecked: Counter[str] = Counter()
        self._checked = threading.Condition()

    def annotated(self, project: str, annotation: int, server: LabelStudio) -> None:
        """Check the predictions of a task whose annotation was saved.

        The annotation is read from Label Studio, because anybody can send a webhook.
        """

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
            if self._work.add(f"{annotation} {time.monotonic_ns()}", check):
                self._unchecked[project] += 1

    def wait(self, project: str) -> None:
        """Wait up to `PATIENCE` until all annotations of a project are checked."""
        with self._checked:
            self._checked.wait_for(lambda: not self._unchecked[project], PATIENCE)

    def stop(self) -> None:
        """Accept no more annotations, and wait for those that are being checked."""
        self._work.stop()
        self._work.join()


def _delete_older(server: LabelStudio, annotation: Mapping[str, Any]) -> None:
    """Delete predictions of this backend that are not of an annotation's prompts."""
    digest = prompts_digest(objects_in(annotation["result"]))
    if digest and not annotation.get("was_cancelled"):
        for one in server.predictions(int(annotation["task"])):
            if is_ours(one) and mark_of(one) != digest:
                server.delete_prediction(int(one["id"]))


def prompts_digest(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a short text that is the same for the same prompts of a person; "" for none."""
    prompts = sorted(json.dumps(one, default=str, sort_keys=True) for one in _prompts(results))
    return digest_of("\n".join(prompts), 16) if prompts else ""


def marked(results: list[dict[str, Any]], digest: str) -> list[dict[str, Any]]:
    """Return the results of a prediction with a mark of the prompts that they come from."""
    for place, result in enumerate(results):
        if "id" in result:
            meta = result.get("meta")
            meta = dict(meta) if isinstance(meta, Mapping) else {}
            meta[NOTE] = {**note_of(result), _PROMPTS: digest}
            return [*results[:place], {**result, "meta": meta}, *results[place + 1 :]]
    return results


def mark_of(prediction: Mapping[str, Any]) -> str | None:
    """Return the digest of the prompts that a prediction is marked with."""
    notes = map(note_of, objects_in(prediction.get("result")))
    return next((note[_PROMPTS] for note in notes if _PROMPTS in note), None)


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
