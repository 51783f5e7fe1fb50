"""One task of a request: its media, what a person drew, and what this backend has to fill."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sam2_plugins.core.files import digest_of
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.errors import FormatError, NothingToDo, ServerError
from sam2_plugins.labelstudio_backend.jobs import Author
from sam2_plugins.labelstudio_backend.label_config import (
    LabelConfig,
    Media,
    is_shape,
    parse_label_config,
)
from sam2_plugins.labelstudio_backend.regions import id_of, named, objects_in, track_of
from sam2_plugins.labelstudio_backend.settings import VERSION_PREFIX, Settings


@dataclass(frozen=True)
class TaskRequest:
    """One task of a request.

    Attributes
    ----------
    context
        What the annotator has just drawn; None when whole tasks are to be pre-annotated.
    until
        When the answer has to be given, on the monotonic clock.
    """

    task: Mapping[str, Any]
    label_config: str
    context: Sequence[Any] | None
    server: LabelStudio | None
    project: str
    until: float
    settings: Settings

    @property
    def task_id(self) -> int | None:
        """The task's id; None outside of a project."""
        found = self.task.get("id")
        return found if isinstance(found, int) else None

    @property
    def api(self) -> LabelStudio | None:
        """Where its result can be stored: Label Studio, if there is a token."""
        return self.server if self.server is not None and self.server.api_key else None

    @cached_property
    def key(self) -> str:
        """Its name: the same text for the same task and prompts."""
        how = [*self.settings.tracking.identity().values(), self.settings.max_frames]
        how += [self.settings.everything] if self.is_bare else []
        about = [self.project, self.task_id, self.label_config, how, self.interactive]
        return digest_of(json.dumps([about, self.task.get("data"), self.drawn], default=str))

    @cached_property
    def interactive(self) -> bool:
        """Whether an annotator waits for it, with something drawn."""
        return self.context is not None

    @cached_property
    def config(self) -> LabelConfig:
        """The labelling config, as the editor reads it for this task.

        Raises
        ------
        FormatError
            If it is none, or the task has no data.
        """
        data = self.task.get("data")
        if not isinstance(data, Mapping):
            raise FormatError("A task has no data.")
        return parse_label_config(self.label_config, data)

    @cached_property
    def results(self) -> list[Mapping[str, Any]]:
        """What a person drew, without the names of buttons among the labels.

        A box whose only label is a button's has none, or the only one that its control offers.
        """
        if not self.config.buttons:
            return self._source[1]
        offered = {control.name: control.labels for control in self.config.controls}
        found = []
        for result in self.drawn:
            value = result.get("value")
            labels = value.get("labels") if isinstance(value, Mapping) else None
            if isinstance(value, Mapping) and isinstance(labels, list):
                own = [label for label in labels if label not in self.config.buttons]
                only = offered.get(str(result.get("from_name")), ())
                if len(own) < len(labels):
                    own = own or (list(only) if len(only) == 1 else [])
                    rest = {key: part for key, part in value.items() if key != "labels"}
                    result = {**result, "value": {**rest, **({"labels": own} if own else {})}}
            found.append(result)
        return found

    @property
    def drawn(self) -> list[Mapping[str, Any]]:
        """The context as it is, or the latest annotation that holds something.

        Where there is neither, the prediction of another model: that of a detector, for example.
        """
        return self._source[1]

    @property
    def source(self) -> int | None:
        """Id of the annotation that it is drawn in."""
        return self._source[0]

    @cached_property
    def _source(self) -> tuple[int | None, list[Mapping[str, Any]]]:
        if self.context is not None:
            return None, named(objects_in(self.context))
        annotations = [a for a in self.annotations if not a.get("was_cancelled")]
        annotations.sort(key=lambda a: str(a.get("updated_at", "")), reverse=True)
        sources = [(one.get("id"), one) for one in annotations]
        if self.settings.track_predictions:
            sources += [(None, p) for p in reversed(self._listed("predictions")) if not is_ours(p)]
        found = ((id_, named(objects_in(one.get("result")))) for id_, one in sources)
        return next((one for one in found if one[1]), (None, []))

    @property
    def is_bare(self) -> bool:
        """Whether the task has no annotation, not even an empty one, and nothing drawn."""
        return not self.interactive and not self.drawn and not self.annotations

    def author(self, objects: Iterable[str]) -> Author:
        """Return the author of the prompts of some objects.

        With a drawn region, Label Studio sends the drafts of this annotator only. The first draft
        is saved seconds after the first stroke. Until then, an object that is not stored anywhere
        can be in this annotator's editor only.
        """
        if not self.interactive:
            return Author(f"annotation {self.source}" if self.source is not None else "")
        users = {str(draft.get("user") or "") for draft in self._listed("drafts")}
        stored = [
            result
            for name in ("annotations", "predictions")
            for one in self._listed(name)
            for result in objects_in(one.get("result"))
        ]
        known = {id_of(result) for result in stored} | {track_of(result) for result in stored}
        return Author(users.pop() if len(users) == 1 else "", frozenset(objects) - known)

    @property
    def annotations(self) -> list[Mapping[str, Any]]:
        """Those of the task, the skipped ones too."""
        return self._listed("annotations")

    @property
    def own_predictions(self) -> list[Mapping[str, Any]]:
        """Predictions of this backend that the task has."""
        return [one for one in self._listed("predictions") if is_ours(one)]

    @property
    def told_predictions(self) -> list[Mapping[str, Any]]:
        """Those that say why they lack something: a new one takes their place."""
        begin = f"{self.settings.model_version}: "
        own = self.own_predictions
        return [one for one in own if str(one.get("model_version")).startswith(begin)]

    def now(self) -> TaskRequest | None:
        """Return the same as it would be asked now; None if the task is gone.

        What may have changed are data, annotations, predictions and the labelling config. If Label
        Studio does not answer, they are as they were.
        """
        project = str(self.task.get("project") or self.project.partition(".")[0])
        if self.api is None or self.task_id is None or not project:
            return self
        try:
            found = self.api.task(project, self.task_id)
        except ServerError:
            return self
        # With SQLite, a new task has the number of one that was deleted.
        made = [one.get("created_at") for one in (found or {}, self.task)]
        if found is None or (None not in made and made[0] != made[1]):
            return None
        parts = ("data", "annotations", "predictions")
        latest: dict[str, Any] = {key: found[key] for key in parts if key in found}
        config = self.label_config
        with suppress(ServerError):
            config = self.api.label_config(project)
        return replace(self, task={**self.task, **latest}, label_config=config)

    def media_to_fill(self) -> list[Media]:
        """Return the videos and pictures that have prompts, or else the config's first."""
        config = self.config
        known = {control.name for control in config.controls}
        drawn_with = {str(result.get("from_name")) for result in self.results if is_shape(result)}
        if known and drawn_with and not known & drawn_with:
            raise NothingToDo(
                f"The regions are of {', '.join(sorted(drawn_with))}, which the labelling config "
                f"does not have. Import them with its own from_name: {', '.join(sorted(known))}."
            )
        fillable = [media for media in config.media if media.takers]
        prompted = {str(result.get("to_name")) for result in self.results}
        if fillable:
            return [media for media in fillable if media.name in prompted] or fillable[:1]
        tags = [one.kind for one in config.media] + [control.tag for control in config.controls]
        found = ", ".join(f"<{tag}>" for tag in dict.fromkeys([*tags, *config.others]))
        raise NothingToDo(
            "The labelling config has no control that this backend fills"
            f"{f', only {found}' if found else ''}. Add VideoRectangle to a Video, or BrushLabels, "
            "BitmaskLabels, PolygonLabels, EllipseLabels or RectangleLabels to an Image."
        )

    def _listed(self, name: str) -> list[Mapping[str, Any]]:
        return objects_in(self.task.get(name))


def is_ours(prediction: Mapping[str, Any]) -> bool:
    """Whether this backend made a prediction, with any of its models."""
    return str(prediction.get("model_version", "")).startswith(VERSION_PREFIX)
