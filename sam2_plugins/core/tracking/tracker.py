"""VideoTracker: prompts in, masks out, one frame at a time."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Generator, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import EllipsisType, MappingProxyType
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor

from sam2_plugins.core.checkpoints.companions import load_outline_refiner
from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.frames import Frame, FrameSource, open_frames
from sam2_plugins.core.masks import Masklet, ObjectId, ObjectMask
from sam2_plugins.core.model import OutlineRefiner, Sam2Model
from sam2_plugins.core.prompt_files import facts_of, load_prompts, refuse_other_movie, save_prompts
from sam2_plugins.core.prompts import XY, Click, Prompt
from sam2_plugins.core.tracking.disk_features import DiskFeatures
from sam2_plugins.core.tracking.feature_cache import FeatureCache, FeatureStore
from sam2_plugins.core.tracking.frame_step import FrameStep
from sam2_plugins.core.tracking.memory.policies import get_policy
from sam2_plugins.core.tracking.memory.policies.published import Sam2Policy
from sam2_plugins.core.tracking.operations import MIN_PART_SHARE, Operations
from sam2_plugins.core.tracking.outline import Outlines
from sam2_plugins.core.tracking.prompt_predictor import PromptPredictor
from sam2_plugins.core.tracking.propagation import FrameResult, Propagation, prompted_outputs
from sam2_plugins.core.tracking.proposals import Propose, make_proposer
from sam2_plugins.core.tracking.schedule import Direction, Life
from sam2_plugins.core.tracking.tracked_object import TrackedObject
from sam2_plugins.core.tracking.tracked_objects import TrackedObjects
from sam2_plugins.core.tracking.windows.follow import Follower
from sam2_plugins.core.tracking.windows.planner import WindowChoice, WindowPlanner

__all__ = ["FrameResult", "VideoTracker"]


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
    neighbours
        Clicks on other objects of the frame exclude, where a mask would hold them: that of a new
        prompt, and others from which nothing was tracked yet.
    cache_megabytes
        Encoded frames that are kept, so that another click on them is quick.
    shared_features, movie
        Where encoded frames are kept instead, by all trackers of one movie and model; and what
        distinguishes the movie from the others there, by its content.
    objects_at_once
        Objects that are tracked in one batch; None: as many as keep the memory small.
    specks
        Parts of a mask that are smaller than this share of its largest part are left out of the
        masks that are returned; the memory sees them.
    keep_logits
        Give the logits of each mask with the results of `propagate`.
    refiner
        Redraws the outlines of tracked objects; by default the one that comes with the model, if
        there is one. None: outlines stay as the mask decoder draws them.
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
        policy: Sam2Policy | str = "sam2",
        neighbours: bool = True,
        cache_megabytes: float = 32,
        shared_features: FeatureStore | None = None,
        movie: Hashable = None,
        objects_at_once: int | None = None,
        specks: float = MIN_PART_SHARE,
        keep_logits: bool = False,
        refiner: OutlineRefiner | EllipsisType | None = ...,
        tile: WindowChoice | EllipsisType = ...,
    ) -> None:
        if not isinstance(tile, EllipsisType):
            warnings.warn("`tile` is now called `window`.", DeprecationWarning, stacklevel=2)
            window = tile
        self.model = model
        self.frames: FrameSource = open_frames(frames)
        self.policy = get_policy(policy) if isinstance(policy, str) else policy
        self.frame_size = (self.frames.height, self.frames.width)
        self._neighbours = neighbours
        self._features = FeatureCache(model, self.frames, cache_megabytes, shared_features, movie)
        if isinstance(refiner, EllipsisType):
            refiner = load_outline_refiner(model)
        self._operations = Operations(self._features, self.policy.span, specks, refiner)
        self._planner = WindowPlanner(self.frame_size, model.image_size, window)
        self._predictor = PromptPredictor(self._operations, self._planner)
        self._follower = Follower(self._operations, self._planner)
        self._objects = TrackedObjects(self.frame_size, self.policy)
        step = FrameStep(self._operations, objects_at_once)
        self._propagation = Propagation(
            self._objects, step, self._follower, self.frames.length, keep_logits
        )

    # -- prompts

    @property
    def objects(self) -> tuple[ObjectId, ...]:
        """Ids of the objects, in the order in which they came."""
        return self._objects.ids

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """All prompts, in order."""
        return self._objects.prompts

    @property
    def outlines(self) -> Outlines | None:
        """What redraws outlines; None if nothing does."""
        return self._operations.outlines

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
        labels: ArrayLike | None = None,
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
            [H, W], or an `ObjectMask`; an empty one if the object is not there.

        Raises
        ------
        PromptError
            If the prompt does not fit its frame.
        """
        return self.add(Prompt.of(frame, obj, points, labels, box, mask))

    def add(self, prompt: Prompt) -> ObjectMask:
        """Add a prompt made before; see `add_prompt`."""
        prompt.check_fits(self.frame_size, self.frames.length)
        leave_out = self._leave_out if self._neighbours else None
        try:
            tracked = self._objects.add(prompt, self._answer, leave_out)
        except IndexError as error:
            if self.frames.seekable:
                raise
            raise PromptError(f"{prompt.where}: {error}.") from error  # the stream is shorter
        mask = tracked.record.get(prompt.frame)
        assert mask is not None
        return mask

    def _answer(self, tracked: TrackedObject, prompt: Prompt) -> None:
        for part in prompt.parts():
            tracked.add_prompt(part, self._predictor.predict, self._follower.recall)
        if not self.frames.seekable:
            self._follower.remember_prompts([tracked])
            self._features.time(prompt.frame)

    def _leave_out(
        self, tracked: TrackedObject, frame: int, clicks: Sequence[XY]
    ) -> tuple[XY, ...]:
        excluded = tracked.leave_out(frame, clicks, self._predictor.predict)
        if excluded and not self.frames.seekable:
            self._follower.remember_prompts([tracked])
        return excluded

    def remove_prompt(self, frame: int, obj: ObjectId) -> None:
        """Take back all prompts of an object on a frame.

        An object without any prompt left is removed.
        """
        self._objects.remove_prompts(frame, obj)

    def remove_object(self, obj: ObjectId) -> None:
        """Forget an object with its prompts, its memory and its masks. The others do not notice."""
        self._objects.remove(obj)

    def undo_prompt(self) -> Prompt | None:
        """Take back the last change: its object is exactly as it was before.

        Returns
        -------
        Prompt | None
            The prompt that was added or removed; None if there is nothing to undo.
        """
        return self._objects.undo()

    def redo_prompt(self) -> Prompt | None:
        """Do the change again that was undone last, exactly; None if there is none."""
        return self._objects.redo()

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
            If a prompt of the object lies outside, its end before its birth, or one is no frame.
        """
        self._objects.bound(obj, Life(first, last))

    @property
    def lives(self) -> dict[ObjectId, tuple[int | None, int | None]]:
        """First and last frame of the objects that are born or end within the movie."""
        return {t.obj: (t.life.first, t.life.last) for t in self._objects if t.life != Life()}

    def reset(self) -> None:
        """Forget all objects, and what could be undone."""
        self._objects.clear()

    def save_prompts(self, path: str | Path) -> None:
        """Save all prompts as JSON, to be replayed in any host."""
        save_prompts(path, self.prompts, facts_of(self.frames), self.lives)

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
            if obj in self.objects:  # napari knows lives of objects that it found by itself, too
                self.set_life(obj, first, last)

    # -- results

    def frame(self, index: int) -> Frame:
        """Return a frame of the movie; the last few are kept, those of a stream, too.

        Its picture is read-only, for it is what the model sees: draw on a copy.

        Raises
        ------
        IndexError
            If there is no such frame (any more).
        """
        frame = self._features.frame(index)
        picture = frame.image.view()
        picture.flags.writeable = False
        return replace(frame, image=picture)

    def proposer(self, like: Sequence[ObjectMask] = ()) -> Propose:
        """Return what proposes the masks of all objects of a frame, without a prompt.

        It shares the encoded windows of the movie.

        Parameters
        ----------
        like
            Masks of a few objects, whose size the others have too.
        """
        return make_proposer(self._operations, self._planner, like)

    def unmet_clicks(self, frame: int, obj: ObjectId) -> tuple[Click, ...]:
        """Return the clicks (x, y, label) that an object's mask on a prompted frame goes against.

        Every way to meet them was tried; the mask meets as many as could be met.
        """
        return self._objects[obj].unmet(frame)

    def unmet_notes(self) -> tuple[str, ...]:
        """Return a line for a person for every click that a mask goes against."""
        return tuple(note for tracked in self._objects for note in tracked.unmet_notes())

    def mask(self, frame: int, obj: ObjectId) -> ObjectMask | None:
        """Return the mask of an object on a frame; None if it was not tracked there."""
        return self._objects[obj].record.get(frame)

    def preview_logits(self, frame: int) -> dict[ObjectId, Tensor]:
        """Logits [H, W] of the objects that were prompted on a frame."""
        return self._propagation.logits(prompted_outputs(self._objects, frame))

    def masklets(self) -> dict[ObjectId, Masklet]:
        """Everything that came out so far, by object."""
        return {t.obj: Masklet(t.obj, masks=t.record.masks()) for t in self._objects}

    def tracked(self, objects: Collection[ObjectId] | None = None) -> list[TrackedObject]:
        """Return the state of objects, of all if None: to be kept, not to be changed."""
        return [t for t in self._objects if objects is None or t.obj in objects]

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
            self._check_fit(masklet.obj, masklet.masks)
            self._objects[masklet.obj].restore(masklet.masks, memory)

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
        return self._objects.return_to(memory, masks)

    def take(
        self,
        frame: int,
        masks: Mapping[ObjectId, ObjectMask],
        shown: Mapping[ObjectId, ObjectMask] = MappingProxyType({}),
    ) -> None:
        """Take masks from elsewhere for those that were tracked to a frame.

        What follows is tracked from them, as if they had been tracked. The frames before stay as
        they are, and so do prompted ones.

        Parameters
        ----------
        shown
            Masks that are recorded, and returned, in the place of these.

        Raises
        ------
        PromptError
            If there is no such object, or a mask does not fit the movie.
        """
        for given in (masks, shown):
            for obj, mask in given.items():
                self._check_fit(obj, {frame: mask})
        for obj, mask in masks.items():
            tracked = self._objects[obj]
            if frame not in tracked.prompted:
                self._follower.take(tracked, frame, mask, shown.get(obj, mask))

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
        return self._propagation.run(self._propagation.plan(direction, start, stop))

    def _check_fit(self, obj: ObjectId, masks: Mapping[int, ObjectMask]) -> None:
        for frame, mask in masks.items():
            Prompt.of(frame, obj, mask=mask).check_fits(self.frame_size, self.frames.length)

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
        """Whether a mask has to be tracked for each result of `propagate`, in its order.

        None if the movie's end is not known. Where two sweeps are joined, further results follow.
        """
        if self.frames.length is None and stop is None:
            return None
        return self._propagation.due(self._propagation.plan(direction, start, stop))
