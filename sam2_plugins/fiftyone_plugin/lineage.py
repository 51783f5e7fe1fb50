"""All objects of a movie, without a prompt: a track for each, with births, divisions and ends."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from typing import Any, TypeAlias

from sam2_plugins.batch import Progress as Step
from sam2_plugins.core.lineage import AllObjects, Event, LineageFrame, LineageTracker
from sam2_plugins.core.masks import ObjectId
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.fiftyone_plugin.documents import EVENT, EVENT_REASON, instance_of
from sam2_plugins.fiftyone_plugin.footage import Footage
from sam2_plugins.fiftyone_plugin.marks import Cause
from sam2_plugins.fiftyone_plugin.metadata import fill_metadata
from sam2_plugins.fiftyone_plugin.objects import (
    TrackedLabel,
    TrackedObject,
    find_objects,
    masks_by_people,
)
from sam2_plugins.fiftyone_plugin.prompting import read_prompts
from sam2_plugins.fiftyone_plugin.request import MovieReport, Request
from sam2_plugins.fiftyone_plugin.results import Earlier, Found, ResultWriter, change

Steps: TypeAlias = "Generator[Step | MovieReport, None, None]"


def track_all(model: Sam2Model, footage: Footage, request: Request, report: MovieReport) -> Steps:
    """Track all objects of a movie; yield progress and at last the report.

    Labels of people are prompts, and stay; what the machine made before in the field is made anew.
    """
    with footage.open() as frames:
        frame_size, length = (frames.height, frames.width), frames.length
        if footage.is_video:
            fill_metadata(footage, frames)
        start, stop = footage.range_of(request.first, request.last, length)
        earlier = Earlier(footage, request, frame_size)
        prompting = read_prompts(footage, request, frame_size, length)
        for frame, label in earlier.by_people:
            prompting.add(frame, label, frame_size, length)
        found = find_objects(prompting.statements, (), footage.sample_id)
        prompted = [one for one in found if one.prompts]
        earlier.settle((), {})
        earlier.remove(earlier.tracks)
        options = replace(request.options, direction="forward", start=start, stop=stop)
        tracker = options.tracker(frames, model)
        for prompt in (prompt for one in prompted for prompt in one.prompts):
            tracker.add(prompt)
        lineage = AllObjects().lineage(tracker)
        names = _Names(prompted, footage.sample_id)
        cause = Cause.found(request.settings)
        writer = ResultWriter(
            footage,
            request,
            prompted,
            defaultdict(lambda: cause),
            masks_by_people(prompted),
            defaultdict(set),
        )
        seen = 0
        total = 0 if length is None else (length if stop is None else stop + 1) - (start or 0)
        try:
            with writer, closing(lineage.run(start or 0, stop)) as results:
                for done, result in enumerate(results, start=1):
                    if footage.shows(result.frame):
                        seen += 1
                        _write(writer, lineage, names, result)
                    yield Step(footage.name, done, total)
        finally:
            _tell(footage, request, lineage.events, names)
    first = start or 0
    counts = Counter(one.kind for one in lineage.events if one.frame > first)
    yield replace(
        report,
        problems=tuple(prompting.problems),
        frames=seen,
        computed=seen,
        objects=len(names),
        born=counts["born"],
        divided=counts["divided"],
        ended=counts["ended"],
    )


class _Names:
    """How the objects of a lineage are called: the same in every run over the same labels."""

    def __init__(self, prompted: Iterable[TrackedObject], sample_id: str) -> None:
        self._sample_id = sample_id
        self._known: dict[ObjectId, TrackedLabel] = {one.who.instance: one.who for one in prompted}
        taken = {one.index for one in self._known.values()}
        self._free = (number for number in count(1) if number not in taken)

    def __len__(self) -> int:
        return len(self._known)

    def of(self, obj: ObjectId) -> TrackedLabel:
        """Return the name of an object; a new one gets one."""
        if obj not in self._known:
            number = next(self._free)
            text = f"{self._sample_id}/all/{number}"
            instance = hashlib.sha256(text.encode()).hexdigest()[:24]
            self._known[obj] = TrackedLabel(instance, None, number)
        return self._known[obj]


def _write(
    writer: ResultWriter, lineage: LineageTracker, names: _Names, result: LineageFrame
) -> None:
    prompted: dict[ObjectId, list[int]] = defaultdict(list)
    for prompt in lineage.tracker.prompts:
        prompted[prompt.obj].append(prompt.frame)
    found = {}
    for obj in result.masks:
        who = names.of(obj)
        writer.welcome(who)
        mother = lineage.parents.get(obj)
        parent = None if mother is None else names.of(mother).index
        found[who.instance] = Found.of(
            lineage.tracker, result.masks, result.frame, obj, sorted(prompted[obj]), parent=parent
        )
    writer.write(result.frame, found)


def _tell(footage: Footage, request: Request, events: Sequence[Event], names: _Names) -> None:
    """Write what happened to an object on its label of that frame."""
    told = {(names.of(obj).instance, one.frame): one for one in events for obj in one.objects}

    def tell(frame: int, label: Any) -> bool:
        event = told.get((instance_of(label) or "", frame))
        if event is None:
            return False
        label[EVENT], label[EVENT_REASON] = event.kind, event.reason
        return True

    change(footage, (request.output_field,), {one.frame for one in events}, tell)
