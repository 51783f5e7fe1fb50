"""From a job to a folder of results: one resumable run, the same for `track` and for `batch`."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

from sam2_plugins.batch.folder import FILES, JOURNAL, PROMPTS, ResultFolder
from sam2_plugins.batch.inputs import digest_inputs, read_content
from sam2_plugins.batch.job import Job, Settings
from sam2_plugins.batch.report import Events, Progress, Report, State
from sam2_plugins.core.checkpoints import model_name
from sam2_plugins.core.errors import (
    ExportError,
    FrameSourceError,
    PromptError,
    TrackingError,
    message_of,
)
from sam2_plugins.core.export import WriterGroup, open_writers
from sam2_plugins.core.frames import FrameSource, first_read, open_frames
from sam2_plugins.core.lineage import AllObjects, LineageFrame, LineageJournal, note_on, run_all
from sam2_plugins.core.lineage.events import Event, parents_of
from sam2_plugins.core.masks import Masklet, ObjectId
from sam2_plugins.core.masks.journal import read_journal
from sam2_plugins.core.masks.masklet import spans_of
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.prompt_files import facts_of, refuse_other_movie, save_prompts
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.run import Journal, TrackJournal, run
from sam2_plugins.core.tracking.schedule import Life, jumps, plan_sweeps
from sam2_plugins.core.tracking.tracker import FrameResult, VideoTracker

LoadModel: TypeAlias = Callable[[TrackingOptions], Sam2Model]
Results: TypeAlias = Generator[FrameResult | LineageFrame, None, None]


def track_into(
    folder: ResultFolder,
    job: Job,
    settings: Settings,
    load: LoadModel = TrackingOptions.load_model,
    *,
    replaces: bool = False,
    force: bool = False,
) -> Events:
    """Track a movie into a folder, and yield progress and at last the report.

    What is there already is not made again; a run that was cut off goes on where it stopped.
    Closing the generator keeps what was done, and so does an error. What `replaces` and `force`
    allow is that of `ResultFolder.begin`.

    Raises
    ------
    Sam2PluginsError
        If the job does not fit its movie, or something that is not ours is in the way.
    """
    settings = replace(settings, model=model_name(settings.model, settings.device))
    earlier = folder.record()
    content = read_content(job.source, earlier)
    inputs = digest_inputs(job, settings, content)
    run = Report(job.name, job.source, "running", settings.model, inputs, content)
    wanted = [FILES[name] for name in settings.formats]
    _refuse_own_movie(job.source, folder.path, wanted)
    same = earlier is not None and earlier.inputs == inputs and not force
    changed = folder.changed(earlier) if earlier is not None and same else ()
    if earlier is not None and not force and folder.holds(run, wanted):
        yield replace(earlier, computed=0, seconds=0.0, notes=(*earlier.notes, *changed))
        return
    with folder.locked(), open_frames(job.source, **job.reading) as frames:
        check(job, frames)
        if earlier is not None and earlier.inputs != inputs and (replaces or force):
            load = cache(load)  # before what is there goes: a file of weights may be damaged
            load(settings.options(job))
        run = folder.begin(run, wanted, replaces, force)
        if earlier is not None and not run.files:
            done = replace(earlier, state="done", error="", computed=0, seconds=0.0, made=run.made)
            done = folder.publish(done, ())
            yield replace(done, notes=(*done.notes, *changed))
            return
        making = _Making(folder, job, settings, frames, run)
        try:
            yield from making.events(load)
        except BaseException as error:
            stopped = isinstance(error, GeneratorExit | KeyboardInterrupt)
            making.error = "" if stopped else message_of(error)
            with suppress(ExportError):  # on a full disk: what is there is enough
                folder.leave(making.report("stopped" if stopped else "failed"))
            raise
        report = folder.publish(making.report("failed" if making.error else "done"), making.files)
    yield replace(report, notes=(*report.notes, *changed))


def _refuse_own_movie(source: str, folder: Path, wanted: Sequence[str]) -> None:
    """Refuse to write results in place of the movie, or beside its frames as if they were some."""
    if source == "-" or "://" in source:
        return
    names = [name for name in FILES.values() if name in wanted or (folder / name).exists()]
    if file := first_read(Path(source).expanduser(), (folder / name for name in names)):
        raise ExportError(
            f"{file} would take the place of the movie {source}, or be taken for one of its "
            "frames. Choose another folder with --out."
        )


def check(job: Job, frames: FrameSource) -> None:
    """Check that a job fits its movie, which takes no model.

    Raises
    ------
    PromptError, TrackingError
        If a prompt is outside of the frames or of another movie, an object has only clicks that
        exclude, the range does not fit, or a stream had to go back.
    """
    for source in job.made_on:
        refuse_other_movie(source, frames)
    size = (frames.height, frames.width)
    prompted: dict[ObjectId, list[int]] = {}
    for prompt in job.prompts:
        prompt.check_fits(size, frames.length)
        prompted.setdefault(prompt.obj, []).append(prompt.frame)
    shown = {prompt.obj for prompt in job.prompts if prompt.shows}
    for obj in prompted:
        if obj not in shown:
            raise PromptError(
                f"Object {obj!r} has only clicks that exclude: nothing shows where it is. Give it "
                "a click on it, a box or a mask, too, or the name of the object that is meant."
            )
    lives = {obj: Life(first, last) for obj, (first, last) in job.lives.items()}
    if job.everything is not None:
        if job.direction != "forward":
            raise TrackingError("All objects are tracked forward: newcomers come later.")
        prompted = prompted or {0: [job.start or 0]}
    if not frames.seekable:
        _check_stream(job)
    plan_sweeps(prompted, job.direction, job.start, job.stop, frames.length, lives)


def _check_stream(job: Job) -> None:
    """A stream is at a prompt's frame when that is answered, and what came before has passed."""
    prompted = [prompt.frame for prompt in job.prompts] or [0]
    begin = 0 if job.everything is not None else min(prompted)
    begin = begin if job.start is None else job.start
    if job.direction != "forward" or max(prompted) > begin:
        raise TrackingError(
            "A stream goes forward only: prompt all objects on the frame that tracking begins "
            f"with, {begin}, and track forward. Or record it to a file, and give that."
        )


class _Making:
    """One run into a folder, and what it has come to.

    Attributes
    ----------
    files
        Names of the files that are whole.
    error
        Why others are not; "" if nothing went wrong.
    """

    def __init__(
        self, folder: ResultFolder, job: Job, settings: Settings, frames: FrameSource, run: Report
    ) -> None:
        self.files: tuple[str, ...] = ()
        self.error = ""
        self._folder, self._job, self._settings = folder, job, settings
        self._frames, self._run = frames, run
        self._complete = run.complete
        self._masklets: Callable[[], Iterable[Masklet]] = list
        self._frames_seen: set[int] = set()
        self._notes: tuple[str, ...] = ()
        self._lineage = [Event.of(values) for values in run.lineage]
        self._parents: dict[ObjectId, ObjectId] = dict(job.mothers)
        self._computed = 0
        self._began = time.perf_counter()

    def events(self, load: LoadModel) -> Events:
        """Write the files: from the masks if they are all there, else from the prompts."""
        whole = self._folder.path / JOURNAL
        if self._complete and self._frames.seekable and whole.exists():
            masks = read_journal(whole)
            self._masklets = masks.masklets
            self._parents |= parents_of(self._lineage)
            times = self._frames.times
            yield from self._write(
                FrameResult(n, float(times[n]), masks.on_frame(n)) for n in masks.frames
            )
            return
        options = self._settings.options(self._job)
        tracker = options.tracker(self._frames, load(options))
        for prompt in self._job.prompts:
            tracker.add(prompt)
        for obj, (first, last) in self._job.lives.items():
            if obj in tracker.objects:
                tracker.set_life(obj, first, last)
        notes = (_out_of_reach, _jumps, _unprompted)
        self._notes = (*tracker.unmet_notes(), *chain(*(note(self._job) for note in notes)))
        if self._job.everything is not None:
            yield from self._everything(self._job.everything, tracker, options)
            return
        self._masklets = lambda: tracker.masklets().values()
        total = tracker.count_steps(options.direction, options.start, options.stop)
        kept = TrackJournal(self._folder.journal)
        in_order = options.direction == "forward"
        yield from self._write(run(tracker, options, [kept]), kept, total, in_order)

    def _everything(
        self, everything: AllObjects, tracker: VideoTracker, options: TrackingOptions
    ) -> Events:
        lineage = everything.lineage(tracker, options.stop)
        self._lineage, self._parents = lineage.events, lineage.parents
        first, last = options.start or 0, options.stop
        note = note_on(tracker, first)
        self._notes += (note,) if note else ()
        if last is None and self._frames.length is not None:
            last = self._frames.length - 1
        total = None if last is None else last - first + 1
        kept = LineageJournal(self._folder.journal)
        self._masklets = lambda: read_journal(kept.path).masklets()
        results = run_all(lineage, first, options.stop, everything.every, kept)
        yield from self._write(results, kept, total)

    def _write(
        self,
        results: Results,
        kept: Journal | None = None,
        total: int | None = None,
        in_order: bool = True,
    ) -> Events:
        names = [name for name, file in FILES.items() if file in self._run.files]
        if PROMPTS in names:
            names.remove(PROMPTS)
            path = self._folder.work / FILES[PROMPTS]
            facts = facts_of(self._frames)
            for fact, known in (("mothers", self._job.mothers), ("names", self._job.names)):
                if known:
                    facts[fact] = {str(obj): value for obj, value in known.items()}
            save_prompts(path, self._job.prompts, facts, self._job.lives)
            self.files = (path.name,)
        writers = self._open_writers(names, in_order)
        try:
            with writers, closing(results):
                for done, result in enumerate(results, start=1):
                    writers.write(result.frame, result.time, result.masks)
                    self._frames_seen.add(result.frame)
                    self._computed += kept is not None and kept.wrote
                    yield Progress(self._job.name, done, total)
                self._complete = True
        except ExportError as error:
            if not self._complete:
                raise
            self.error = str(error)
        self._notes += writers.notes
        self.files += tuple(path.name for path in writers.paths)

    def _open_writers(self, formats: list[str], in_order: bool) -> WriterGroup:
        work, objects = self._folder.work, dict.fromkeys(p.obj for p in self._job.prompts)
        if not formats:
            return WriterGroup(work)
        # The folder has seen to it that nothing but what is ours is there.
        return open_writers(
            work,
            formats,
            self._frames,
            objects,
            in_order=in_order,
            parents=self._parents,
            names=self._job.names,
            overwrite=True,
        )

    def report(self, state: State) -> Report:
        """Return its report so far."""
        known = (*self._run.notes, *self._frames.warnings)
        return replace(
            self._run,
            state=state,
            frames=len(self._frames_seen),
            computed=self._computed,
            complete=self._complete,
            spans=tuple(spans_of(self._frames_seen)),
            seconds=time.perf_counter() - self._began,
            error=self.error,
            notes=tuple(dict.fromkeys((*known, *self._notes, *self._changed()))),
            objects=tuple(_summary(masklet) for masklet in self._masklets()),
            lineage=tuple(event.as_json() for event in self._lineage),
        )

    def _changed(self) -> Iterator[str]:
        if not self._frames.seekable:
            return
        try:
            now = read_content(self._run.source, self._run)
        except FrameSourceError:
            return
        if now["digest"] != self._run.content["digest"]:
            yield (
                f"{self._run.source} was changed while it was tracked, so that masks may be of "
                "what was there before: track it again, with --overwrite or into another folder."
            )


def _out_of_reach(job: Job) -> Iterator[str]:
    """Note the objects that are prompted only behind the last frame that is tracked."""
    if job.stop is None or job.direction == "both":
        return
    for obj in dict.fromkeys(prompt.obj for prompt in job.prompts):
        prompted = [prompt.frame for prompt in job.prompts if prompt.obj == obj]
        first = min(prompted) if job.direction == "forward" else max(prompted)
        if first > job.stop if job.direction == "forward" else first < job.stop:
            yield (
                f"Object {obj!r} is first prompted on frame {first}, and tracking {job.direction} "
                f"stops at frame {job.stop}: it is in no result. Choose another stop, or the "
                "direction both."
            )


def _jumps(job: Job) -> Iterator[str]:
    """Note the objects that are prompted only before the range, so that frames between are left."""
    prompted: dict[str, list[int]] = {}
    for prompt in job.prompts:
        prompted.setdefault(f"Object {prompt.obj!r}", []).append(prompt.frame)
    return jumps(prompted, job.direction, job.start, job.stop)


def _unprompted(job: Job) -> Iterator[str]:
    """Note the objects of which a file knows a birth or an end, but no prompt."""
    prompted = {prompt.obj for prompt in job.prompts}
    if others := [repr(obj) for obj in job.lives if obj not in prompted]:
        yield (
            "The prompts tell a birth or an end of objects without a prompt, which are not "
            f"tracked: {', '.join(others[:5])}{' …' if others[5:] else ''}."
        )


def _summary(masklet: Masklet) -> dict[str, Any]:
    """Sum up a masklet; what is not known is None, for JSON has no nan."""
    return {key: None if value != value else value for key, value in masklet.summary().items()}
