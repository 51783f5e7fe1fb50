"""VideoTracker: prompts in, masks out, one frame at a time."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import EllipsisType
from typing import Any, TypeAlias

from numpy.typing import ArrayLike
from torch import Tensor

from sam2_plugins.core.errors import PromptError, TrackingError
from sam2_plugins.core.frames import Frame, FrameSource, open_frames
from sam2_plugins.core.masks import Masklet, ObjectId, ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.prompt_files import (
    facts_of,
    load_prompts,
    refuse_other_movie,
    save_prompts,
)
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.disk_features import DiskFeatures
from sam2_plugins.core.tracking.feature_cache import FeatureCache, FeatureStore
from sam2_plugins.core.tracking.history import Change, History, State
from sam2_plugins.core.tracking.join import SAME_OBJECT, Joiner
from sam2_plugins.core.tracking.memory.bank import Policy, Recall
from sam2_plugins.core.tracking.memory.policies import get_policy
from sam2_plugins.core.tracking.predictor import MIN_PART_SHARE, Steps
from sam2_plugins.core.tracking.prompt_predictor import PromptPredictor, Query
from sam2_plugins.core.tracking.proposals import Propose, make_proposer
from sam2_plugins.core.tracking.resample import to_frame_logits
from sam2_plugins.core.tracking.schedule import Direction, Life, Sweep, plan_sweeps
from sam2_plugins.core.tracking.tracked_object import (
    Click,
    Output,
    PromptedFrame,
    TrackedObject,
    unmet_sentence,
)
from sam2_plugins.core.tracking.windows.follow import Follower
from sam2_plugins.core.tracking.windows.planner import Window, WindowChoice, WindowPlanner

Labels: TypeAlias = "Sequence[int] | ArrayLike | None"


@dataclass(frozen=True)
class FrameResult:
    """What is known of one frame after a step of propagation.

    Attributes
    ----------
    frame, time
        0-based index, and seconds.
    masks
        By object; empty where an object is not in the frame. Only objects that the step concerns.
    computed
        Objects whose mask was computed in this step; those of the others followed from the prompts
        already, and are the same as before.
    unmet
        Clicks (x, y, label) on this frame that a mask goes against, by object.
    logits
        [H, W] by object, if the tracker was made with `keep_logits`.
    """

    frame: int
    time: float
    masks: dict[ObjectId, ObjectMask]
    computed: frozenset[ObjectId] = frozenset()
    unmet: dict[ObjectId, tuple[Click, ...]] = field(default_factory=dict)
    logits: dict[ObjectId, Tensor] = field(default_factory=dict)


class VideoTracker:
    """Tracks prompted objects through a movie.

    One tracker is used by one thread at a time; the thread may change between calls.

    Parameters
    ----------
    model
        From `load_model`.
    frames
        A `FrameSource`, or whatever `open_frames` takes.
    window
        "auto": small objects are seen through windows of (near) native resolution; None: always
        the whole frame; a number: windows of that side in pixels.
    policy
        What each object remembers: "sam2", "samurai", "dam4sam", or one with other numbers.
    cache_megabytes
        Encoded frames that are kept, so that another click on them is quick.
    shared_features, movie
        Where encoded frames are kept instead, by all trackers of one movie and model; and what
        tells the movie from the others there, by its content.
    objects_at_once
        Objects that are tracked in one batch; None: as many as keep the memory small.
    specks
        Parts of a mask that are smaller than this share of its largest part are left out of the
        masks that are returned; the memory sees them.
    keep_logits
        Give the logits of each mask with the results of `propagate`.
    tile
        Earlier name of `window`.

    Examples
    --------
    >>> tracker = VideoTracker(load_model("nano"), "movie.mp4")
    >>> tracker.add_prompt(frame=0, obj="cell 1", points=[(120, 80)])
    >>> for result in tracker.propagate():
    ...     print(result.frame, result.masks["cell 1"].area)
    """

    def __init__(
        self,
        model: Sam2Model,
        frames: FrameSource | Any,
        *,
        window: WindowChoice = "auto",
        policy: Policy | str = "sam2",
        cache_megabytes: float = 32,
        shared_features: FeatureStore | None = None,
        movie: Hashable = None,
        objects_at_once: int | None = None,
        specks: float = MIN_PART_SHARE,
        keep_logits: bool = False,
        tile: WindowChoice | EllipsisType = ...,
    ) -> None:
        if not isinstance(tile, EllipsisType):
            warnings.warn("`tile` is now called `window`.", DeprecationWarning, stacklevel=2)
            window = tile
        self.model = model
        self.frames: FrameSource = open_frames(frames)
        self.policy = get_policy(policy) if isinstance(policy, str) else policy
        self.keep_logits = keep_logits
        self.frame_size = (self.frames.height, self.frames.width)
        self._features = FeatureCache(model, self.frames, cache_megabytes, shared_features, movie)
        self._steps = Steps(
            model, self._features, self.frame_size, self.policy.span, objects_at_once, specks
        )
        self._planner = WindowPlanner(self.frame_size, model.image_size, window)
        self._predictor = PromptPredictor(self._steps, self._planner)
        self._follower = Follower(self._steps, self._planner, self._readable)
        self._joiner = Joiner(self._steps, self._follower)
        self._times: dict[int, float] = {}
        self._objects: dict[ObjectId, TrackedObject] = {}
        self._log: list[Prompt] = []
        self._history = History()

    # -- prompts

    @property
    def objects(self) -> tuple[ObjectId, ...]:
        """Ids of the objects, in the order in which they came."""
        return tuple(self._objects)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """All prompts, in order."""
        return tuple(self._log)

    @property
    def frames_encoded(self) -> int:
        """How often the image encoder ran on a frame or a window of one."""
        return self._features.encoded

    def add_prompt(
        self,
        frame: int,
        obj: ObjectId,
        *,
        points: ArrayLike | None = None,
        labels: Labels = None,
        box: ArrayLike | None = None,
        mask: ObjectMask | ArrayLike | None = None,
    ) -> ObjectMask:
        """Prompt an object on any frame, at any time, and see its mask there.

        A prompt adds to those before it on that frame: a click refines the mask that is
        there, a box replaces the last box, a mask replaces everything.

        Parameters
        ----------
        frame
            0-based.
        obj
            A number or a text; a new one makes a new object.
        points, labels
            (x, y) in pixels of the frame, [n, 2]; 1 for on the object (default), 0 for not on it.
        box
            x0, y0, x1, y1, ends exclusive.
        mask
            [H, W], or an `ObjectMask`; an empty one says that the object is not there.

        Raises
        ------
        PromptError
            If the prompt does not fit its frame.
        """
        return self.add(Prompt.of(frame, obj, points, labels, box, mask))

    def add(self, prompt: Prompt) -> ObjectMask:
        """Add a prompt made before; see `add_prompt`."""
        prompt.check_fits(self.frame_size, self.frames.length)
        with self._changing(prompt):
            tracked = self._objects.get(prompt.obj) or TrackedObject(
                prompt.obj, self.frame_size, self.policy
            )
            tracked.life = tracked.life.including(prompt.frame)
            for part in prompt.parts():
                mask = self._answer(tracked, part)
            if not self.frames.seekable:
                self._follower.remember_prompts(tracked)
                self._time(prompt.frame)
            self._objects[prompt.obj] = tracked
            self._log.append(prompt)
        return mask

    def remove_prompt(self, frame: int, obj: ObjectId) -> None:
        """Take back all prompts of an object on a frame.

        An object without any prompt left is removed.
        """
        tracked = self._known(obj)
        if frame not in tracked.prompted:
            raise PromptError(f"Object {obj!r} has no prompt on frame {frame}.")
        with self._changing(tracked.prompted[frame].prompts[-1]):
            del tracked.prompted[frame]
            if not tracked.prompted:
                del self._objects[obj]
            tracked.bank.forget([frame])
            tracked.record.drop(frame)
            # What followed from a prompt that is taken back has no claim to stay.
            tracked.outdate_around(frame, standing=False)
            self._log = [p for p in self._log if (p.frame, p.obj) != (frame, obj)]

    def remove_object(self, obj: ObjectId) -> None:
        """Forget an object with its prompts, its memory and its masks. The others do not notice."""
        self._known(obj)
        with self._changing(next(p for p in reversed(self._log) if p.obj == obj)):
            del self._objects[obj]
            self._log = [p for p in self._log if p.obj != obj]

    def undo_prompt(self) -> Prompt | None:
        """Take back the last change: its object is exactly as it was before.

        Returns
        -------
        Prompt | None
            The prompt that was added or removed; None if there is nothing to undo.
        """
        return self._step_through_history(redo=False)

    def redo_prompt(self) -> Prompt | None:
        """Do the change again that was undone last, exactly; None if there is none."""
        return self._step_through_history(redo=True)

    def set_life(self, obj: ObjectId, first: int | None = None, last: int | None = None) -> None:
        """Bound the frames on which an object exists; it is tracked to no other.

        A later prompt outside of them extends them.

        Parameters
        ----------
        first, last
            0-based, both included; None: no bound.

        Raises
        ------
        PromptError
            If a prompt of the object lies outside, or its end before its birth.
        """
        tracked = self._known(obj)
        life = Life(first, last)
        if first is not None and last is not None and first > last:
            raise PromptError(f"Object {obj!r} cannot end on frame {last}, before frame {first}.")
        for frame in tracked.prompted:
            if frame not in life:
                raise PromptError(
                    f"Object {obj!r} has a prompt on frame {frame}, outside of its life from "
                    f"{first} to {last}: remove the prompt first."
                )
        if life != tracked.life:
            with self._changing(next(p for p in reversed(self._log) if p.obj == obj)):
                tracked.bound(life)

    @property
    def lives(self) -> dict[ObjectId, tuple[int | None, int | None]]:
        """First and last frame of the objects that are born or end within the movie."""
        return {
            o: (t.life.first, t.life.last) for o, t in self._objects.items() if t.life != Life()
        }

    def reset(self) -> None:
        """Forget all objects, and what could be undone."""
        self._objects.clear()
        self._log.clear()
        self._history.clear()

    def save_prompts(self, path: str | Path) -> None:
        """Save all prompts as JSON, to be replayed in any host."""
        save_prompts(path, self._log, facts_of(self.frames), self.lives)

    def load_prompts(self, path: str | Path, force: bool = False) -> None:
        """Add all prompts of a file, in its order, if all of them fit the movie.

        Parameters
        ----------
        force
            Take those of another movie, too.

        Raises
        ------
        PromptError
            If the file is damaged, of another movie, or does not fit this one.
        """
        saved = load_prompts(path)
        if not force:
            refuse_other_movie(saved.source, self.frames)
        for prompt in saved.prompts:
            prompt.check_fits(self.frame_size, self.frames.length)
        for prompt in saved.prompts:
            self.add(prompt)
        for obj, (first, last) in saved.lives.items():
            self.set_life(obj, first, last)

    # -- results

    def frame(self, index: int) -> Frame:
        """Return a frame of the movie; the last two are kept, those of a stream, too.

        Raises
        ------
        IndexError
            If there is no such frame (any more).
        """
        return self._features.frame(index)

    def proposer(self, like: Sequence[ObjectMask] = ()) -> Propose:
        """Return what proposes the masks of all objects of a frame, without a prompt.

        It shares the encoded windows of the movie.

        Parameters
        ----------
        like
            Masks of a few objects, whose size the others have too.
        """
        return make_proposer(self._steps, self._planner, like)

    def unmet_clicks(self, frame: int, obj: ObjectId) -> tuple[Click, ...]:
        """Return the clicks (x, y, label) that an object's mask on a prompted frame goes against.

        Every way to meet them was tried; the mask meets as many as could be met.
        """
        prompted = self._known(obj).prompted.get(frame)
        return prompted.answer.unmet if prompted and prompted.answer else ()

    def unmet_notes(self) -> tuple[str, ...]:
        """Return a line for a person for every click that a mask goes against."""
        return tuple(
            f"Object {obj!r}, frame {frame}: {unmet_sentence(click)}"
            for obj, tracked in self._objects.items()
            for frame in sorted(tracked.prompted)
            for click in self.unmet_clicks(frame, obj)
        )

    def mask(self, frame: int, obj: ObjectId) -> ObjectMask | None:
        """Return the mask of an object on a frame; None if it was not tracked there."""
        return self._known(obj).record.get(frame)

    def preview_logits(self, frame: int) -> dict[ObjectId, Tensor]:
        """Logits [H, W] of the objects that were prompted on a frame."""
        said = {
            o: t.prompted[frame].output for o, t in self._objects.items() if frame in t.prompted
        }
        return self._logits({o: output for o, output in said.items() if output is not None})

    def masklets(self) -> dict[ObjectId, Masklet]:
        """Everything that came out so far, by object."""
        out = {}
        for obj, tracked in self._objects.items():
            masks = {f: m for f in tracked.record.frames if (m := tracked.record.get(f))}
            out[obj] = Masklet(obj, masks=masks)
        return out

    def tracked(self, objects: Collection[ObjectId] | None = None) -> list[TrackedObject]:
        """Return the state of objects, of all if None: to be kept, not to be changed."""
        return [t for o, t in self._objects.items() if objects is None or o in objects]

    def restore(
        self,
        masklets: Iterable[Masklet],
        memory: Mapping[ObjectId, Mapping[str, Any]] | None = None,
    ) -> None:
        """Take masks of an earlier run for this one's, after the same prompts were given.

        `propagate` then yields them without computing, and goes on where they end. With the memory
        that belongs to them, what follows equals what one run would have given. Without it, the
        memory of the last frames is made again from their masks, and what follows is as good.

        Parameters
        ----------
        memory
            From `load_memory`; that of an object with other prompts is not used.

        Raises
        ------
        PromptError
            If a masklet is of an object without a prompt, or a mask does not fit the movie.
        """
        for masklet in masklets:
            tracked = self._known(masklet.obj)
            for _, mask in masklet:
                if mask.frame_size != self.frame_size:
                    raise PromptError(
                        f"A mask of {masklet.obj!r} is of a frame of {mask.frame_size}, and those "
                        f"of the movie are {self.frame_size} (height, width)."
                    )
            state = (memory or {}).get(masklet.obj)
            if state is not None and _same_prompts(tracked.prompted, state["prompted"]):
                tracked.go_on_from(state, masklet.masks)
                continue
            for frame, mask in masklet:
                if frame not in tracked.prompted and memory is None:
                    tracked.record.put(frame, mask)

    def return_to(
        self,
        memory: Mapping[ObjectId, Mapping[str, Any]],
        masks: Iterable[tuple[int, Mapping[ObjectId, ObjectMask]]],
    ) -> bool:
        """Take exactly the objects of an earlier run, those too that were added on its way.

        Parameters
        ----------
        memory
            From `load_memory`, of all objects.
        masks
            Those that belong to it, by frame.

        Returns
        -------
        bool
            Whether it was of the prompts that were given here; if not, nothing is changed.
        """
        for obj, tracked in self._objects.items():
            if obj not in memory or not _same_prompts(tracked.prompted, memory[obj]["prompted"]):
                return False
        objects, log = {}, list(self._log)
        for obj, state in memory.items():
            objects[obj] = TrackedObject(obj, self.frame_size, self.policy)
            objects[obj].go_on_from(state, {})
            if obj not in self._objects:
                log += [one for prompted in state["prompted"].values() for one in prompted.prompts]
        for frame, found in masks:
            for obj, mask in found.items():
                if obj in objects and frame in memory[obj]["current"]:
                    objects[obj].record.put(frame, mask)
        self._objects, self._log = objects, log
        self._history.clear()
        return True

    def take(self, frame: int, masks: Mapping[ObjectId, ObjectMask]) -> None:
        """Take masks from elsewhere for those that were tracked to a frame.

        What follows is tracked from them, as if they had been tracked. The frames before stay as
        they are, and so do prompted ones.
        """
        for obj, mask in masks.items():
            tracked = self._known(obj)
            if frame not in tracked.prompted:
                box, window = mask.box, tracked.window or self._planner.whole
                if box is not None and not self._planner.keeps(window, box):
                    window = self._planner.window(box, tracked.side)
                tracked.record.put(frame, mask)
                tracked.bank.remember_tracked(self._steps.rebuild(frame, mask, window))

    def propagate(
        self,
        direction: Direction = "forward",
        start: int | None = None,
        stop: int | None = None,
    ) -> Generator[FrameResult, None, None]:
        """Track all objects through the movie, and yield frame by frame.

        Closing the generator cancels within a frame; what was yielded stays valid. A later call
        goes on where this one stopped: masks that still follow from the prompts are yielded again
        without computing. A correction outdates an object's masks up to its neighbouring prompts;
        they stay unless what is tracked again is better, see `core.tracking.join`.

        Parameters
        ----------
        direction
            "forward" from each object's first prompt; "backward" from its last; "both" outward
            from every prompt, each frame tracked from the prompt nearest to it, unless the sweeps
            from two prompts are not on one object where they meet; then frames come again with
            the masks of the one that joins.
        start, stop
            First and last frame, both included, in the order of the direction; the whole movie
            from the prompts if None.

        Raises
        ------
        TrackingError
            If there is nothing to track, or the range does not fit the movie.
        """
        return self._run(self._plan(direction, start, stop))

    def keep_features(self, folder: DiskFeatures | None) -> None:
        """Keep encoded frames on the disk, and take those that are there; None: no more."""
        self._features.disk = folder

    def count_steps(
        self,
        direction: Direction = "forward",
        start: int | None = None,
        stop: int | None = None,
    ) -> int | None:
        """Count the results that `propagate` will yield; None if the movie's end is not known.

        A few more come where two sweeps have to be joined.
        """
        due = self.due_steps(direction, start, stop)
        return None if due is None else len(due)

    def due_steps(
        self,
        direction: Direction = "forward",
        start: int | None = None,
        stop: int | None = None,
    ) -> list[bool] | None:
        """Tell of each result of `propagate` in its order whether a mask has to be tracked for it.

        None if the movie's end is not known. Where two sweeps are joined, further results follow.
        """
        if self.frames.length is None and stop is None:
            return None

        def due(obj: ObjectId, frame: int) -> bool:
            tracked = self._objects[obj]
            return frame not in tracked.prompted and not tracked.record.is_current(frame)

        return [
            any(due(obj, frame) for obj in objects)
            for sweep in self._plan(direction, start, stop)
            for frame in sweep.frames
            if (objects := sweep.objects(frame))
        ]

    def _plan(self, direction: Direction, start: int | None, stop: int | None) -> list[Sweep]:
        if not self._objects:
            raise TrackingError("There is nothing to track: add a prompt first.")
        prompted = {o: tuple(t.prompted) for o, t in self._objects.items()}
        lives = {o: t.life for o, t in self._objects.items()}
        return plan_sweeps(prompted, direction, start, stop, self.frames.length, lives)

    def _run(self, sweeps: Iterable[Sweep]) -> Generator[FrameResult, None, None]:
        for sweep in sweeps:
            for frame in sweep.frames:
                objects = [self._objects[o] for o in sweep.objects(frame) if o in self._objects]
                if not objects:
                    continue
                try:
                    time = self._time(frame)
                except IndexError:
                    break
                yield self._step(frame, time, objects, sweep)
        for tracked in tuple(self._objects.values()):
            for frame, changed in self._joiner.join(tracked):
                yield self._result(
                    frame, self._time(frame), [tracked], [tracked] if changed else []
                )

    def _step(
        self, frame: int, time: float, objects: Sequence[TrackedObject], sweep: Sweep
    ) -> FrameResult:
        """Bring every object to a frame: by its prompt, from the record, or by tracking it."""
        outputs: dict[ObjectId, Output] = {}
        wanted = []
        for tracked in objects:
            said = tracked.prompted.get(frame)
            if said is not None:
                if said.output is not None:
                    outputs[tracked.obj] = said.output
            elif not tracked.record.is_current(frame) and self._readable(frame):
                self._follower.prepare(tracked, frame, sweep.reverse)
                wanted.append(tracked)
        new = []
        tracks = self._steps.track(frame, wanted, sweep.reverse)
        for tracked, found in zip(wanted, tracks, strict=True):
            if self._joiner.keeps(tracked, frame, found.mask, sweep):
                continue
            tracked.record.put(frame, found.mask)
            tracked.bank.remember_tracked(found.memory)
            outputs[tracked.obj] = found.output
            new.append(tracked)
        return self._result(frame, time, objects, new, outputs)

    def _result(
        self,
        frame: int,
        time: float,
        objects: Sequence[TrackedObject],
        new: Sequence[TrackedObject],
        outputs: Mapping[ObjectId, Output] | None = None,
    ) -> FrameResult:
        """Tell of a frame; `new` are the objects whose masks are."""
        masks = {t.obj: m for t in objects if (m := t.record.get(frame)) is not None}
        logits = self._logits(outputs or {}) if self.keep_logits else {}
        unmet = {o: clicks for o in masks if (clicks := self.unmet_clicks(frame, o))}
        return FrameResult(frame, time, masks, frozenset(t.obj for t in new), unmet, logits)

    def _logits(self, outputs: Mapping[ObjectId, Output]) -> dict[ObjectId, Tensor]:
        return {
            obj: to_frame_logits(o.logits[0, 0], o.window, self.frame_size)
            for obj, o in outputs.items()
        }

    # -- one object's prompts

    def _answer(self, tracked: TrackedObject, prompt: Prompt) -> ObjectMask:
        """Predict the mask of all prompts of a frame with one more, and keep it."""
        frame = prompt.frame
        before = tracked.prompted.get(frame, PromptedFrame())
        recorded = tracked.record.get(frame)
        conditioned = before.conditioned or (not before.prompts and recorded is not None)
        prompts = [*before.prompts, prompt]
        query = Query(
            frame,
            prompts,
            answered=before.answer,
            recorded=recorded,
            side=tracked.side,
            window=tracked.window,
            recall=partial(self._recall, tracked, frame) if conditioned else None,
        )
        answer = self._predictor.predict(query)
        tracked.prompted[frame] = PromptedFrame(prompts, answer, conditioned)
        tracked.bank.forget([frame])
        tracked.record.put(frame, answer.mask)
        # Where a person says that the object is elsewhere, masks from there on were not of it.
        moved = recorded is not None and recorded.iou_with(answer.mask) < SAME_OBJECT
        tracked.outdate_around(frame, standing=True, moved=moved)
        tracked.side, tracked.window = answer.side, answer.output.window
        return answer.mask

    def _recall(self, tracked: TrackedObject, frame: int, window: Window) -> Recall:
        """What an object remembers on a frame, in a window."""
        tracked.window = window
        self._follower.remember_prompts(tracked)
        self._follower.recall_recent(tracked, frame, reverse=False)
        return tracked.bank.recall(frame, reverse=False)

    # -- changes

    @contextmanager
    def _changing(self, prompt: Prompt) -> Iterator[None]:
        """Change one object: as a whole or not at all, and so that it can be undone."""
        before = self._state(prompt.obj)
        try:
            yield
        except BaseException:
            self._go_to(before)
            raise
        self._history.record(Change(prompt, before))

    def _step_through_history(self, redo: bool) -> Prompt | None:
        change = self._history.last(redo=redo)
        if change is None:
            return None
        self._history.step(self._state(change.state.obj), redo=redo)
        self._go_to(change.state)
        return change.prompt

    def _state(self, obj: ObjectId) -> State:
        tracked = self._objects.get(obj)
        copied = None if tracked is None else tracked.copy()
        return State(obj, copied, tuple(self._objects), tuple(self._log))

    def _go_to(self, state: State) -> None:
        objects = dict(self._objects)
        objects.pop(state.obj, None)
        if state.tracked is not None:
            objects[state.obj] = state.tracked.copy()
        self._objects = {obj: objects[obj] for obj in state.order}
        self._log = list(state.log)

    def _time(self, frame: int) -> float:
        """Return the time of a frame, which is read only the first time."""
        if frame not in self._times:
            self._times[frame] = self._features.frame(frame).time
        return self._times[frame]

    def _readable(self, frame: int) -> bool:
        """Whether a frame can still be had; those of a stream pass."""
        return self.frames.seekable or frame >= next(reversed(self._times), 0)

    def _known(self, obj: ObjectId) -> TrackedObject:
        if obj not in self._objects:
            known = ", ".join(map(repr, self._objects)) or "none yet"
            raise PromptError(f"There is no object {obj!r}. Known objects: {known}.")
        return self._objects[obj]


def _same_prompts(one: Mapping[int, PromptedFrame], other: Mapping[int, PromptedFrame]) -> bool:
    return {f: p.prompts for f, p in one.items()} == {f: p.prompts for f, p in other.items()}
