"""One step of tracking: objects brought to a frame together, from what each remembers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from sam2_plugins.core.families.variant import MapMemory
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.core.model import Decoded, ImageFeatures
from sam2_plugins.core.model.memory_attention import ONE_BY_ONE
from sam2_plugins.core.model.sam2 import LARGE_GRID
from sam2_plugins.core.runtime import in_inference
from sam2_plugins.core.tracking.feature_cache import stacked
from sam2_plugins.core.tracking.memory.bank import (
    Candidates,
    Choice,
    Memory,
    Recall,
    as_tensors,
)
from sam2_plugins.core.tracking.operations import Operations
from sam2_plugins.core.tracking.query import Output
from sam2_plugins.core.tracking.resample import Rendering
from sam2_plugins.core.tracking.second_look import look_again
from sam2_plugins.core.tracking.tracked_object import TrackedObject
from sam2_plugins.core.tracking.transfer import Reading, to_device, to_host
from sam2_plugins.core.tracking.windows.planner import Window, without_cut_parts

OBJECT_TOKENS_AT_ONCE = 2**15
"""Objects are batched so that no more feature tokens than this are conditioned at once.

Eight objects of 64 × 64 tokens keep the largest card busy; more take memory, and no less time.
"""


@dataclass(frozen=True)
class Tracked:
    """One object on one frame: what came out, as a mask, and to be remembered."""

    output: Output
    mask: ObjectMask
    memory: Memory


@dataclass(frozen=True)
class _Member:
    """One object on its way through a frame."""

    obj: TrackedObject
    window: Window
    recall: Recall
    choice: Choice = field(default_factory=lambda: Choice(0))


@dataclass
class _Batch:
    """Objects that are decoded together, with the features of their windows."""

    members: Sequence[_Member]
    here: ImageFeatures
    decoded: Decoded


class FrameStep:
    """Brings the objects of a movie from frame to frame."""

    def __init__(self, operations: Operations, objects_at_once: int | None = None) -> None:
        self.model = operations.model
        self.operations = operations
        self._features = operations.features
        most = max(1, OBJECT_TOKENS_AT_ONCE // self.model.grid**2)
        self._objects_at_once = objects_at_once or most
        # A card takes longer to launch many small operations than to do some for nothing.
        self._fills = (
            self.model.device.type not in ONE_BY_ONE
            and self.model.grid < LARGE_GRID
            and isinstance(self.model.variant.memory, MapMemory)
        )

    @in_inference
    def track(
        self, frame: int, objects: Sequence[TrackedObject], reverse: bool
    ) -> dict[ObjectId, Tracked]:
        """Track objects to a frame, from what each remembers, each in its window."""
        if not objects:
            return {}
        then = frame - 1 if reverse else frame + 1
        self._features.read_ahead(then)
        members = [_Member(o, o.next_window, o.bank.recall(frame, reverse)) for o in objects]
        features = self._features.get(frame, [member.window for member in members])
        batches = [self._decode(batch, features) for batch in self._batches(members)]
        if any(o.bank.policy.chooses for o in objects):
            self._choose(frame, batches)
        return self._finish(frame, batches, then)

    def _batches(self, members: Sequence[_Member]) -> Iterator[Sequence[_Member]]:
        """Bounded numbers, those that remember equally many maps and pointers beside each other."""
        alike = members if self._fills else sorted(members, key=lambda m: m.recall.counts)
        for first in range(0, len(alike), self._objects_at_once):
            yield alike[first : first + self._objects_at_once]

    def _decode(
        self, members: Sequence[_Member], features: Mapping[Window, ImageFeatures]
    ) -> _Batch:
        here = stacked(features, [member.window for member in members])
        conditioned, at = [], 0
        for recalls, shape in self._shapes([member.recall for member in members]):
            memories = as_tensors(recalls, self.operations.pointer_span, shape)
            some = slice(at, at + len(recalls)) if len(here.coarse) > 1 else slice(1)
            conditioned.append(self.model.attend_to_memory(here.coarse[some], memories))
            at += len(recalls)
        coarse = torch.cat(conditioned) if len(conditioned) > 1 else conditioned[0]
        return _Batch(members, here, self.model.decode(coarse, here.skips))

    def _shapes(
        self, recalls: Sequence[Recall]
    ) -> Iterator[tuple[list[Recall], tuple[int, int] | None]]:
        """Those that are conditioned together, and the numbers that all are filled up to."""
        if not self._fills:
            for _, alike in groupby(recalls, key=lambda recall: recall.counts):
                yield list(alike), None
            return
        maps, pointers = (max(counts) for counts in zip(*(r.counts for r in recalls), strict=True))
        variant = self.model.variant
        yield list(recalls), (max(maps, variant.num_memories), max(pointers, variant.max_pointers))

    def _choose(self, frame: int, batches: Sequence[_Batch]) -> None:
        """Let each object's policy take a candidate; the host reads those of all at once."""
        offers = []
        for batch in batches:
            found = batch.decoded
            offers += [found.candidates > 0, found.ious.float(), found.object_score.float()]
        read = iter(to_host(offers))
        for batch, masks, ious, scores in zip(batches, read, read, read, strict=True):
            rows = zip(batch.members, masks, ious, scores[:, 0].tolist(), strict=True)
            batch.members = [
                replace(
                    one, choice=one.obj.bank.choose(frame, Candidates(mask, iou, score, one.window))
                )
                for one, mask, iou, score in rows
            ]
            chosen = np.array([member.choice.index for member in batch.members])
            batch.decoded = batch.decoded.pick(to_device(chosen, self.model.device))

    def _finish(self, frame: int, batches: Sequence[_Batch], then: int) -> dict[ObjectId, Tracked]:
        """Encode memories, and read all that the host needs of all objects at once.

        An accelerator does so, and encodes the frame that comes `then`, while the host makes masks.
        """
        self._weigh_colours(frame, batches)
        closeups = self._redraw(frame, batches)
        self._look_again(batches)
        logits = torch.cat([b.decoded.mask for b in batches]).float()
        pointers = torch.cat([b.decoded.pointer for b in batches]).float()
        scores = torch.cat([b.decoded.object_score for b in batches]).float()
        ious = torch.cat([b.decoded.iou for b in batches]).float()
        members = [member for batch in batches for member in batch.members]
        windows = [member.window for member in members]
        rendering = Rendering(logits[:, 0], windows)
        reading = Reading([*rendering.tensors, scores, ious])
        # The official predictor stores memories in bfloat16, on the CPU too.
        maps = [
            self.model.encode_memory(
                b.here.coarse, b.decoded.mask, b.decoded.object_score, prompted=False
            ).to(torch.bfloat16)
            for b in batches
        ]
        self._features.encode_ahead(then, windows)
        *arrays, read_scores, read_ious = reading.arrays()
        score, iou = read_scores[:, 0].tolist(), read_ious.tolist()
        size, specks = self.operations.frame_size, self.operations.specks
        drawn = rendering.masks(arrays, size, iou, score, specks)
        masks = [without_cut_parts(m, w) for m, w in zip(drawn, windows, strict=True)]
        boxes = rendering.boxes(arrays)
        rows = zip(
            members,
            (row for each in maps for row in each.unbind()),
            logits.split(1),
            pointers.unbind(),
            scores.split(1),
            closeups,
            strict=True,
        )
        found = {}
        for i, (member, encoded, mask, pointer, object_score, near) in enumerate(rows):
            window, choice = member.window, member.choice
            output = Output(mask, pointer, object_score, iou[i], window)
            memory = Memory(
                frame, encoded, pointer, window, boxes[i], iou[i], score[i], choice, near
            )
            found[member.obj.obj] = Tracked(output, masks[i], memory)
        return found

    def _weigh_colours(self, frame: int, batches: Sequence[_Batch]) -> None:
        """Hold the masks against the colours of the objects' prompted frames, in photographs."""
        colours = self.operations.colours
        if colours is None:
            return
        for batch in batches:
            shown = [member.obj.bank.colours(frame) for member in batch.members]
            windows = [member.window for member in batch.members]
            mask = colours.weigh(frame, batch.decoded.mask, windows, shown)
            batch.decoded = replace(batch.decoded, mask=mask)

    def _redraw(self, frame: int, batches: Sequence[_Batch]) -> list[Tensor | None]:
        """Redraw the outlines of all batches, where the model can; return the objects' closeups."""
        outlines = self.operations.outlines
        if outlines is None:
            return [None for batch in batches for _ in batch.members]
        members = [member for batch in batches for member in batch.members]
        before = [member.obj.bank.closeups(frame) for member in members]
        masks = torch.cat([batch.decoded.mask for batch in batches])
        drawn, near = outlines.redraw(frame, masks, [member.window for member in members], before)
        counts = [len(batch.members) for batch in batches]
        for batch, mask in zip(batches, drawn.split(counts), strict=True):
            batch.decoded = replace(batch.decoded, mask=mask)
        return list(near.unbind())

    def _look_again(self, batches: Sequence[_Batch]) -> None:
        """Look at the objects without memory, too, where the model's eye for outlines is good."""
        model = self.model
        if model.variant.trunk.looks_again:
            for batch in batches:
                mask = look_again(model, batch.here, batch.decoded.mask)
                batch.decoded = replace(batch.decoded, mask=mask)
