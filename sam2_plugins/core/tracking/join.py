"""Where a new track meets masks that are there: which of the two stays.

After a correction an object is tracked again, over masks of which many were good; and between two
prompts it can be tracked from either. What is there stays, unless the new track is better: by what
the model predicts of itself, and by how steadily each of the two goes on. Where the two agree they
are one track again, and nothing is replaced from there on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.doubt import doubt_of
from sam2_plugins.core.tracking.frame_step import FrameStep
from sam2_plugins.core.tracking.schedule import Sweep
from sam2_plugins.core.tracking.tracked_object import SAME_OBJECT, TrackedObject
from sam2_plugins.core.tracking.windows.follow import Follower

CREDIT = 0.15
"""Doubt that a new outline has in its favour, because a person's correction is behind it."""


def stays(
    old: ObjectMask,
    new: ObjectMask,
    old_beyond: ObjectMask | None = None,
    new_before: ObjectMask | None = None,
) -> bool:
    """Whether a mask, and those beyond it, stay where a track from a correction comes to it.

    A track that is elsewhere has a person's prompt behind it, and gives way only if it is lost, and
    what is there is no worse.

    Parameters
    ----------
    old_beyond
        Mask of the old track on the frame that the new one comes to next.
    new_before
        Mask of the new track on the frame that it comes from.
    """
    if not new.visible:
        return old.visible and new_before is not None and new_before.visible
    common = old.iou_with(new)
    if common == 1:
        return True
    doubt_old, doubt_new = doubt_of(old, old_beyond), doubt_of(new, new_before)
    if common >= SAME_OBJECT:
        return doubt_old.value <= doubt_new.value - CREDIT
    return doubt_new.doubtful and doubt_old.value <= doubt_new.value


class Joiner:
    """Joins the tracks of an object to one."""

    def __init__(self, step: FrameStep, follower: Follower) -> None:
        self._step = step
        self._follower = follower

    def keeps(self, tracked: TrackedObject, frame: int, new: ObjectMask, sweep: Sweep) -> bool:
        """Keep the masks that stand from a frame on, if they are to stay where a track comes.

        Only a track from the prompt that was corrected has a person's word for it. One that comes
        from another prompt is as good as what it meets, which stays but for doubtful masks.

        Where a person showed that the object is elsewhere, and a track goes on from there, none of
        the masks beyond was of it. If that track is lost at once, they are all there is, and stay;
        if it comes back to them, it says at least how doubtful they are, and replaces them.
        """
        record, onward = tracked.record, -1 if sweep.reverse else 1
        if sweep.shared:
            tracked.open_join(frame)
        old, before = record.standing(frame), record.get(frame - onward)
        if old is None:
            return False
        corrected = tracked.origin(frame, sweep.reverse) in record.corrections(frame)
        refuted = tracked.is_refuted(frame)
        if corrected:
            # That a track comes back to where the object is not does not speak for what is there.
            back = refuted and _same(old, new)
            kept = not back and stays(old, new, record.standing(frame + onward), before)
        else:
            doubt = doubt_of(old, before)
            better = not doubt.doubtful or doubt.value <= doubt_of(new, before).value
            kept = better and not refuted
        if not kept:
            if corrected and refuted and not _same(old, new):
                record.outdate([f for f in record.frames if f > frame and tracked.is_refuted(f)])
            return False
        while record.standing(frame) is not None and sweep.covers(frame, tracked.obj):
            record.keep(frame)
            frame += onward
            mask, before = record.get(frame), record.get(frame - onward)
            if not corrected and mask is not None and doubt_of(mask, before).doubtful:
                break
        return True

    def join(self, tracked: TrackedObject) -> Iterator[tuple[int, bool]]:
        """Where sweeps from two prompts met halfway and are not one track, find where they are.

        Each goes on over what the other one left. That from the later prompt takes over up to where
        it comes to the other one's mask. If it never does, that from the earlier prompt goes on, as
        it would have without the later one.

        Yields
        ------
        frame, changed
            A frame that was tracked, or whose mask was replaced.
        """
        record = tracked.record
        for before, after in sorted(tracked.open_joins):
            middle = (before + after) // 2
            if not (record.is_current(middle) and record.is_current(middle + 1)):
                continue
            if not _same(record.get(middle), record.get(middle + 1)):
                came = yield from self._go_on(tracked, (before, after), middle + 1, before)
                if not came:
                    yield from self._go_on(tracked, (before, after), middle, after, surely=True)
            tracked.close_join((before, after))

    def _go_on(
        self,
        tracked: TrackedObject,
        prompts: tuple[int, int],
        origin: int,
        goal: int,
        surely: bool = False,
    ) -> Generator[tuple[int, bool], None, bool]:
        """Track over what is there, and replace it up to where it is the same.

        Parameters
        ----------
        surely
            Replace it although that is nowhere, as long as the object is found.

        Returns
        -------
        bool
            Whether something was the same, the mask of the prompt at last.
        """
        record, reverse = tracked.record, goal < origin
        ahead = tracked.only_at(origin, prompts)
        passed: list[int] = []
        came = False
        for frame in range(origin, goal, -1 if reverse else 1)[1:]:
            self._follower.prepare([ahead], frame, reverse)
            found = self._step.track(frame, [ahead], reverse)[ahead.obj]
            came = _same(record.get(frame), found.mask)
            if came or not found.mask.visible:
                break
            ahead.accept(found.mask, found.memory)
            passed.append(frame)
            yield frame, False
        else:
            last = ahead.record.get(passed[-1] if passed else origin)
            came = _same(record.get(goal), last)
        if came or surely:
            # The frame at the origin comes last: if this is cut off, the join is still open there,
            # and what follows is the same.
            for frame in reversed(passed):
                mask = ahead.record.get(frame)
                assert mask is not None
                tracked.replace_mask(frame, mask)
                yield frame, True
        return came


def _same(one: ObjectMask | None, other: ObjectMask | None) -> bool:
    return one is not None and other is not None and one.iou_with(other) >= SAME_OBJECT
