"""Corrections, of which Label Studio tells by webhook: predictions of older prompts are deleted.

Label Studio asks for no prediction of a task that has one of this model already: without this,
*Retrieve predictions* after a correction would do nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.deliveries import Deliveries
from sam2_plugins.labelstudio_backend.errors import LabelStudioError
from sam2_plugins.labelstudio_backend.provenance import is_of, prompts_digest
from sam2_plugins.labelstudio_backend.request import is_ours

log = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds that a set-up waits until older predictions are gone: Label Studio gives 3."""


class Corrections:
    """Deletes stored predictions of prompts that a person has changed since, in threads."""

    def __init__(self) -> None:
        self._work = Deliveries(lambda _, check: check())
        self._unchecked: Counter[str] = Counter()
        self._checked = threading.Condition()

    def annotated(self, project: str, annotation: int, server: LabelStudio) -> None:
        """Look at an annotation that was saved.

        What it holds is read from Label Studio, for anybody can send a webhook.
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
        """Wait, but not long, until all annotations of a project have been looked at."""
        with self._checked:
            self._checked.wait_for(lambda: not self._unchecked[project], PATIENCE)

    def stop(self) -> None:
        """Take no more."""
        self._work.stop()

    def join(self) -> None:
        """Wait for those that are being looked at."""
        self._work.join()


def _delete_older(server: LabelStudio, annotation: Mapping[str, Any]) -> None:
    """Delete predictions of this backend that are not of an annotation's prompts."""
    results = [one for one in annotation["result"] if isinstance(one, Mapping)]
    digest = prompts_digest(results)
    if digest and not annotation.get("was_cancelled"):
        for one in server.predictions(int(annotation["task"])):
            if is_ours(one) and not is_of(one, digest):
                server.delete_prediction(int(one["id"]))
