"""All objects of a movie, without a prompt: a track for each, with births, divisions and ends."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from itertools import count
from typing import Any, TypeAlias

from sam2_plugins.batch import Progress as Step
from sam2_plugins.core.files import digest_of
from sam2_plugins.core.lineage import (
    AllObjects,
    Event,
    LineageFrame,
    LineageJournal,
    LineageTracker,
    note_on,
    run_all,
)
from sam2_plugins.core.masks import ObjectId
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.fiftyone_plugin.documents import EVENT, EVENT_REASON, instance_of
from sam2_plugins.fiftyone_plugin.footage import Footage
from sam2_plugins.fiftyone_plugin.journals import journal_path
from sam2_plugins.fiftyone_plugin.marks import Cause
from sam2_plugins.fiftyone_plugin.objects import (
    TrackedLabel,
    TrackedObject,
    find_objects,
    masks_by_people,
)
from sam2_plugins.fiftyone_plugin.prompting import read_prompts
from sam2_plugins.fiftyone_plugin.records import replaced_files
from sam2_plugins.fiftyone_plugin.request import MovieReport, Request
from sam2_plugins.fiftyone_plugin.results import Earlier, Found, ResultWriter, change

Steps: TypeAlias = "Generator[Step | MovieReport, None, None]"


def track_all(model: Sam2Model, footage: Footage, request: Request, report: MovieReport) -> Steps:
    """Track all objects of a movie; yield progress and at last the report.

    Labels of people are prompts, and stay. What the machine made before on the frames of the run
    stays until all is tracked, and is replaced then; where there is nothing, masks appear as they
    come.
    """
    with footage.open() as frames:
        frame_size, length = (frames.height, frames.width), frames.length
        footage.fill_metadata(frames)
        start, stop = footage.range_of(request.first, request.last, length)

        def is_due(frame: int) -> bool:
            late = stop is not None and frame > stop
            return footage.shows(frame) and frame >= (start or 0) and not late

        earlier = Earlier(footage, request, frame_size)
        prompting = read_prompts(footage, request, frame_size, length, earlier.by_people)
        found = find_objects(prompting.prompt_labels, (), footage.sample_id)
        prompted = [one for one in found if one.prompts]
        earlier.settle((), {})
        options = replace(request.options, direction="forward", start=start, stop=stop)
        tracker = options.tracker(frames, model)
        for prompt in (prompt for one in prompted for prompt in one.prompts):
            tracker.add(prompt)
        lineage, note = AllObjects().lineage(tracker), note_on(tracker, start or 0)
        journal = LineageJournal(journal_path(footage, request, options))
        staying = (one.index for one in earlier.tracks if not all(map(is_due, one.masks)))
        names = _Names(prompted, staying, footage.sample_id)
        writing = _Writing(footage, request, lineage, names, prompted)
        at_once = not earlier.tracks
        total = 0 if length is None else (length if stop is None else stop + 1) - (start or 0)
        results = run_all(lineage, start or 0, stop, journal=journal)
        with closing(results), writing if at_once else nullcontext():
            for done, result in enumerate(results, start=1):
                if at_once:
                    writing.write(result)
                yield Step(footage.name, done, total)
        if not at_once:
            # Read again: a person may have corrected some of them meanwhile.
            again = Earlier(footage, request, frame_size)
            again.remove(again.tracks, is_due)
            with writing:
                for result in journal.frames():
                    writing.write(result)
        journal.delete()  # the database holds all of it now
    first = start or 0
    counts = Counter(one.kind for one in lineage.events if one.frame > first)
    yield replace(
        report,
        problems=(*earlier.problems, *prompting.problems),
        frames=writing.frames,
        computed=writing.frames,
        objects=len(names),
        born=counts["born"],
        divided=counts["divided"],
        ended=counts["ended"],
        note=note,
    )


class _Names:
    """Names of the objects of a lineage: the same in every run over the same labels.

    Parameters
    ----------
    staying
        Indices of what an earlier run made on other frames, such as those of another clip.
    """

    def __init__(
        self, prompted: Iterable[TrackedObject], staying: Iterable[int | None], sample_id: str
    ) -> None:
        self._sample_id = sample_id
        self._known: dict[ObjectId, TrackedLabel] = {one.who.instance: one.who for one in prompted}
        taken = {one.index for one in self._known.values()} | {*staying}
        self._free = (number for number in count(1) if number not in taken)

    def __len__(self) -> int:
        return len(self._known)

    def of(self, obj: ObjectId) -> TrackedLabel:
        """Return the name of an object; a new object gets a new name."""
        if obj not in self._known:
            number = next(self._free)
            instance = digest_of(f"{self._sample_id}/all/{number}", 24)
            self._known[obj] = TrackedLabel(instance, None, number)
        return self._known[obj]


class _Writing:
    """Writes the frames of a lineage, and at the end its events; a context manager.

    Attributes
    ----------
    frames
        How many were written.
    """

    def __init__(
        self,
        footage: Footage,
        request: Request,
        lineage: LineageTracker,
        names: _Names,
        prompted: Sequence[TrackedObject],
    ) -> None:
        self.frames = 0
        self._footage, self._request = footage, request
        self._lineage, self._names = lineage, names
        cause = Cause.found((*request.settings, *replaced_files(footage)))
        causes: Mapping[str, Cause] = defaultdict(lambda: cause)
        by_people = masks_by_people(prompted)
        self._writer = ResultWriter(footage, request, prompted, causes, by_people, defaultdict(set))

    def write(self, result: LineageFrame) -> None:
        """Write the masks of a frame, if it is shown."""
        if not self._footage.shows(result.frame):
            return
        tracker, parents = self._lineage.tracker, self._lineage.parents
        prompted: dict[ObjectId, list[int]] = defaultdict(list)
        for prompt in tracker.prompts:
            prompted[prompt.obj].append(prompt.frame)
        found = {}
        for obj in result.masks:
            who = self._names.of(obj)
            self._writer.welcome(who)
            parent = self._names.of(parents[obj]).index if obj in parents else None
            found[who.instance] = Found.of(
                tracker, result.masks, result.frame, obj, sorted(prompted[obj]), parent=parent
            )
        self._writer.write(result.frame, found)
        self.frames += 1

    def __enter__(self) -> None:
        pass

    def __exit__(self, *reason: object) -> None:
        self._writer.__exit__(*reason)
        _write_events(self._footage, self._request, self._lineage.events, self._names)


def _write_events(
    footage: Footage, request: Request, events: Sequence[Event], names: _Names
) -> None:
    """Write each event to the label of its object on its frame."""
    happened = {(names.of(obj).instance, one.frame): one for one in events for obj in one.objects}

    def add_event(frame: int, label: Any) -> bool:
        event = happened.get((instance_of(label) or "", frame))
        if event is None:
            return False
        label[EVENT], label[EVENT_REASON] = event.kind, event.reason
        return True

    change(footage, (request.output_field,), {one.frame for one in events}, add_event)
