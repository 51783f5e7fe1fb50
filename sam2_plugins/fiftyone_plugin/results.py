"""The field of results of one movie: what is in it already, and what is added."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fiftyone as fo

from sam2_plugins.core.masks import Masklet, ObjectMask
from sam2_plugins.fiftyone_plugin.documents import (
    current_mark,
    make_detection,
    make_lost,
    single_labels,
)
from sam2_plugins.fiftyone_plugin.footage import Footage
from sam2_plugins.fiftyone_plugin.objects import TrackedLabel
from sam2_plugins.fiftyone_plugin.request import Request

MOST_FRAMES = 100
"""Frames that wait to be written at most: their labels are sent to the database at once."""

SECONDS = 5.0
"""After this time they are written even if they are fewer, so that little is lost by a kill."""


class Earlier:
    """What an earlier run left of a movie.

    Attributes
    ----------
    by_people
        (frame, label) of the labels that people made or corrected.
    indices
        Instance to index, of machine-made labels.
    """

    def __init__(self, footage: Footage, request: Request, frame_size: tuple[int, int]) -> None:
        self.by_people: list[tuple[int, Any]] = []
        self.indices: dict[str, int] = {}
        self._masks: dict[tuple[str, str], dict[int, ObjectMask]] = {}
        for name in (request.output_field, request.lost_field):
            for frame, value in footage.read(name):
                for label in _labels(value):
                    found = current_mark(label, frame_size)
                    instance = _instance(label)
                    if found is None or instance is None:
                        self.by_people.append((frame, label))
                        continue
                    mark, mask = found
                    self.indices[instance] = label.index
                    self._masks.setdefault((instance, mark.cause), {})[frame] = mask

    def masklets(self, causes: Mapping[TrackedLabel, str]) -> list[Masklet]:
        """Masks that still follow from the prompts, for `VideoTracker.restore`."""
        wanted = ((who.instance, cause) for who, cause in causes.items())
        return [Masklet(key[0], masks=self._masks[key]) for key in wanted if key in self._masks]


class ResultWriter:
    """Writes masks to the database, some frames at once; a context manager.

    Parameters
    ----------
    causes
        What the masks of each object follow from.
    keyframes, by_people
        (instance, frame) of what was prompted, and of what has a person's mask in this very field.

    """

    def __init__(
        self,
        footage: Footage,
        request: Request,
        causes: Mapping[TrackedLabel, str],
        keyframes: frozenset[tuple[str, int]],
        by_people: frozenset[tuple[str, int]],
    ) -> None:
        self._footage = footage
        self._request = request
        self._who = {who.instance: who for who in causes}
        self._causes = {who.instance: cause for who, cause in causes.items()}
        self._keyframes = keyframes
        self._by_people = by_people
        self._waiting: dict[int, dict[str, ObjectMask]] = {}
        self._written = time.monotonic()

    def write(self, frame: int, masks: Mapping[Any, ObjectMask]) -> None:
        """Take the masks of a frame."""
        self._waiting.setdefault(frame, {}).update(masks)
        late = time.monotonic() - self._written > SECONDS
        if late or len(self._waiting) >= MOST_FRAMES:
            self.flush()

    def flush(self) -> None:
        """Write what waits.

        What is there is read before: labels of people stay, also those that were made or corrected
        while the tracker was at work, and so do those of other objects.
        """
        frames = sorted(self._waiting)
        if frames:
            shown, lost = self._request.output_field, self._request.lost_field
            before = dict(self._footage.read(shown, frames))
            away = dict(self._footage.read(lost, frames))
            size = next(iter(self._waiting[frames[0]].values())).frame_size
            seen, gone = {}, {}
            for frame in frames:
                kept = list(self._kept(before.get(frame), self._waiting[frame], size))
                by_people = {_instance(label) for label in kept}
                masks = {
                    k: m
                    for k, m in self._waiting[frame].items()
                    if k not in by_people and (k, frame) not in self._by_people
                }
                kept += [self._detection(frame, k, m) for k, m in masks.items() if m.visible]
                seen[frame] = fo.Detections(detections=kept)
                still = list(self._kept(away.get(frame), self._waiting[frame], size))
                still += [
                    make_lost(self._who[k], m, self._causes[k])
                    for k, m in masks.items()
                    if not m.visible
                ]
                if still or frame in away:
                    gone[frame] = fo.Classifications(classifications=still)
            self._footage.write(shown, seen)
            if gone:
                self._footage.write(lost, gone)
        self._waiting.clear()
        self._written = time.monotonic()

    def __enter__(self) -> ResultWriter:
        return self

    def __exit__(self, *reason: object) -> None:
        self.flush()

    def _kept(
        self, value: Any, masks: Mapping[str, ObjectMask], frame_size: tuple[int, int]
    ) -> Iterator[Any]:
        """Labels that stay: those of people, and of objects that have no new mask here."""
        for label in _labels(value):
            if _instance(label) not in masks or current_mark(label, frame_size) is None:
                yield label

    def _detection(self, frame: int, instance: str, mask: ObjectMask) -> Any:
        who = self._who[instance]
        keyframe = (instance, frame) in self._keyframes
        folder = self._request.masks_folder
        path = None if folder is None else folder / _mask_name(self._footage, who, frame)
        return make_detection(who, mask, self._causes[instance], keyframe, path)


def _mask_name(footage: Footage, who: TrackedLabel, frame: int) -> Path:
    return Path(footage.sample_id) / f"{frame + 1:06d}-{who.index}-{who.instance[:8]}.png"


def _labels(value: Any) -> list[Any]:
    if isinstance(value, fo.Classifications):
        return list(value.classifications)
    return list(single_labels(value))


def _instance(label: Any) -> str | None:
    instance = label["instance"] if "instance" in label.field_names else None
    return None if instance is None else str(instance.id)
