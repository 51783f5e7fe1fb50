"""One task of a request: what it shows, what a person drew on it, and what is to be filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.errors import FormatError, NothingToDo, ServerError
from sam2_plugins.labelstudio_backend.label_config import LabelConfig, Media


@dataclass(frozen=True)
class Ask:
    """One task of a request.

    Attributes
    ----------
    task
        As Label Studio sends it.
    config
        The project's labelling config.
    context
        What the annotator has just drawn; None when whole tasks are to be pre-annotated.
    server
        Where the task is from.
    project
        Its id.
    until
        When the answer has to be given, on the monotonic clock.
    """

    task: Mapping[str, Any]
    config: LabelConfig
    context: Sequence[Mapping[str, Any]] | None
    server: LabelStudio | None
    project: str
    until: float

    @property
    def task_id(self) -> int | None:
        """The task's id; None outside of a project."""
        found = self.task.get("id")
        return found if isinstance(found, int) else None

    @property
    def data(self) -> Mapping[str, Any]:
        """What the task shows."""
        data = self.task.get("data")
        if not isinstance(data, Mapping):
            raise FormatError("A task has no data.")
        return data

    @property
    def results(self) -> list[Mapping[str, Any]]:
        """What a person drew: the context, or the latest annotation that holds something."""
        if self.context is not None:
            return list(self.context)
        annotations = self.task.get("annotations") or []
        kept = [a for a in annotations if isinstance(a, Mapping) and not a.get("was_cancelled")]
        for one in sorted(kept, key=lambda a: str(a.get("updated_at", "")), reverse=True):
            if isinstance(one.get("result"), list) and one["result"]:
                return [result for result in one["result"] if isinstance(result, Mapping)]
        return []

    def is_gone(self) -> bool:
        """Whether Label Studio says that it has no such task; who does not answer may have it."""
        if self.server is None or not self.server.api_key or self.task_id is None:
            return False
        try:
            return not self.server.has_task(self.task_id)
        except ServerError:
            return False

    def media_to_fill(self) -> Media:
        """Return the video or picture that a person has prompted, or else the config's first.

        Raises
        ------
        NothingToDo
            If the config has no control that takes what the model makes.
        """
        fillable = {control.to_name for control in self.config.controls}
        prompted = (str(result.get("to_name")) for result in self.results)
        names = [*prompted, *(media.name for media in self.config.media)]
        for name in names:
            if name in fillable:
                return self.config.media_named(name)
        raise NothingToDo(
            "The labelling config has no control that this backend fills: add VideoRectangle to a "
            "Video, or BrushLabels, BitmaskLabels, PolygonLabels or RectangleLabels to an Image."
        )
