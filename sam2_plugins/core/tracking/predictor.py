"""Model calls for objects: a prompt to a mask, a frame to the next masks, a mask to a memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Decoded, ImageFeatures, Sam2Model
from sam2_plugins.core.model.prompt_encoder import BOX_END, BOX_START
from sam2_plugins.core.model.sam2 import PREVIOUS_LOGIT_LIMIT
from sam2_plugins.core.prompts import POSITIVE, Points, Prompt
from sam2_plugins.core.runtime import in_inference
from sam2_plugins.core.tracking.feature_cache import FeatureCache
from sam2_plugins.core.tracking.memory.bank import (
    Candidates,
    Choice,
    Memory,
    Recall,
    as_tensors,
    box_of,
)
from sam2_plugins.core.tracking.resample import (
    Rendering,
    to_logits,
    to_model_mask,
    to_object_mask,
)
from sam2_plugins.core.tracking.test_time_augmentation import decode_views, views_of
from sam2_plugins.core.tracking.tracked_object import Output, TrackedObject
from sam2_plugins.core.tracking.transfer import Reading, to_device, to_host
from sam2_plugins.core.tracking.windows.planner import Window

OBJECT_TOKENS_AT_ONCE = 2**16
"""Objects are batched so that no more feature tokens than this are conditioned at once."""


MIN_PART_SHARE = 0.1
"""Parts of a mask that are smaller than this share of its largest part are left out."""

PROMPTS_AT_ONCE = 64
"""Prompts of objects of their own that are decoded in one batch."""


@dataclass(frozen=True)
class Tracked:
    """One object on one frame: what came out, as a mask, and to be remembered."""

    output: Output
    mask: ObjectMask
    memory: Memory


class Steps:
    """The operations of a tracker, each under torch's inference state."""

    def __init__(
        self,
        model: Sam2Model,
        features: FeatureCache,
        frame_size: tuple[int, int],
        pointer_span: int,
        objects_at_once: int | None = None,
        specks: float = MIN_PART_SHARE,
    ) -> None:
        self.model = model
        self.features = features
        self.frame_size = frame_size
        self.pointer_span = pointer_span
        self.specks = specks
        self.objects_at_once = objects_at_once or max(1, OBJECT_TOKENS_AT_ONCE // model.grid**2)

    # -- prompts

    @in_inference
    def prompt(
        self,
        frame: int,
        prompts: Sequence[Prompt],
        window: Window,
        previous: Tensor | None = None,
        recall: Recall | None = None,
    ) -> Output:
        """Answer all that was said of an object on a frame.

        Parameters
        ----------
        prompts
            In the order in which they were given. A mask replaces what was said before it; the
            last box counts; clicks add up.
        previous
            Logits [1, 1, 4 g, 4 g] in the same window, to be refined.
        recall
            What the object remembers, if its memory should have a say.
        """
        model = self.model
        mask, points, labels = _combine(prompts)
        if mask is not None and not labels:
            here = self.features.get(frame, [window])[window]
            given = to_model_mask(mask, window, model.image_size).to(model.device)
            return _output(model.adopt_mask(here.coarse, here.skips, given), 0, window)
        if previous is not None:
            previous = previous.clamp(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT)
        clicks, kinds = self._as_tensors(points, labels, window)
        if recall is not None and recall.maps:
            here = self.features.get(frame, [window])[window]
            memories = as_tensors([recall], self.pointer_span)
            coarse = model.attend_to_memory(here.coarse, memories)
            decoded = model.decode(coarse, here.skips, clicks, kinds, previous)
        else:
            # A person's mask is right but for what the click says, and each view would change more.
            views = self._views(frame, window, None if mask is None else 1)
            decoded = decode_views(model, views, clicks, kinds, previous)
        return _output(decoded, 0, window)

    @in_inference
    def candidates(self, frame: int, prompt: Prompt, window: Window) -> list[ObjectMask]:
        """All masks that a prompt of points may mean, as a window shows them."""
        _, points, labels = _combine([prompt])
        clicks, kinds = self._as_tensors(points, labels, window)
        decoded = decode_views(self.model, self._views(frame, window), clicks, kinds)
        count = decoded.candidates.shape[1]
        picks = (decoded.pick(torch.tensor([k], device=clicks.device)) for k in range(count))
        return [self.mask_of(_output(pick, 0, window)) for pick in picks]

    @in_inference
    def decode_each(
        self,
        frame: int,
        window: Window,
        points: np.ndarray,
        labels: Sequence[int] = (POSITIVE,),
    ) -> list[Decoded]:
        """Decode prompts of one kind, each on an object of its own, in batches.

        Parameters
        ----------
        points, labels
            [n, P, 2] in pixels of the frame, and what each of the P points is.
        """
        features = self.features.get(frame, [window])[window]
        here = self.model.without_memory(features.coarse)
        flat = window.to_model(points.reshape(-1, 2), self.model.image_size)
        xy = to_device(flat.reshape(points.shape).astype(np.float32), self.model.device)
        kinds = torch.tensor(labels, device=self.model.device)
        return [
            self.model.decode(here, features.skips, some, kinds.expand(len(some), -1))
            for some in xy.split(PROMPTS_AT_ONCE)
        ]

    def candidate(self, decoded: Decoded, row: int, column: int, window: Window) -> ObjectMask:
        """Return the mask of one candidate, in the frame."""
        iou, score = float(decoded.ious[row, column]), float(decoded.object_score[row])
        logits = decoded.candidates[row, column]
        return to_object_mask(logits, window, self.frame_size, iou, score, self.specks)

    def best(self, decoded: Decoded, row: int, window: Window) -> ObjectMask:
        """Return the mask that the model takes for the best, in the frame."""
        iou, score = float(decoded.iou[row]), float(decoded.object_score[row])
        logits = decoded.mask[row, 0]
        return to_object_mask(logits, window, self.frame_size, iou, score, self.specks)

    def _views(self, frame: int, window: Window, count: int | None = None) -> list[ImageFeatures]:
        views = views_of(window, count or self.model.variant.prompt_views)
        features = self.features.get(frame, views)
        return [features[view] for view in views]

    def _as_tensors(
        self, points: Sequence[tuple[float, float]], labels: Sequence[int], window: Window
    ) -> tuple[Tensor, Tensor]:
        """Points [1, P, 2] in pixels of the model's input, and their labels [1, P]."""
        device = self.model.device
        xy = window.to_model(np.array(points, dtype=float), self.model.image_size)
        return (
            torch.tensor(xy, dtype=torch.float32, device=device)[None],
            torch.tensor(labels, device=device)[None],
        )

    def mask_of(self, output: Output, keep: Points | None = None) -> ObjectMask:
        """Return the mask that an output stands for, in the frame, with all parts clicked on."""
        score = float(output.object_score)
        mask = to_object_mask(
            output.logits[0, 0], output.window, self.frame_size, output.iou, score
        )
        clicks = zip(keep.xy, keep.labels, strict=True) if keep else ()
        return mask.without_specks(self.specks, [xy for xy, on in clicks if on])

    def logits_of(self, mask: ObjectMask, window: Window) -> Tensor:
        """Logits that stand for a recorded mask."""
        return to_logits(mask, window, self.model.image_size).to(self.model.device)

    # -- memories

    @in_inference
    def remember(self, frame: int, output: Output) -> Memory:
        """Memory of a frame on which a person had a say."""
        here = self.features.get(frame, [output.window])[output.window]
        encoded = self.model.encode_memory(
            here.coarse, output.logits, output.object_score, prompted=True
        )
        return _memory(frame, encoded[0], output)

    @in_inference
    def rebuild(self, frame: int, mask: ObjectMask, window: Window) -> Memory:
        """Memory of a frame made again from its recorded mask, in whatever window."""
        here = self.features.get(frame, [window])[window]
        given = to_model_mask(mask, window, self.model.image_size).to(self.model.device)
        output = _output(self.model.adopt_mask(here.coarse, here.skips, given), 0, window)
        return replace(self.remember(frame, output), iou=mask.iou, score=mask.score)

    # -- tracking

    @in_inference
    def track(self, frame: int, objects: Sequence[TrackedObject], reverse: bool) -> list[Tracked]:
        """Follow objects to a frame, from what each remembers, each in its window."""
        if not objects:
            return []
        self.features.read_ahead(frame - 1 if reverse else frame + 1)
        windows = [_window(o) for o in objects]
        features = self.features.get(frame, windows)
        recalls = [o.bank.recall(frame, reverse) for o in objects]
        alike: dict[tuple[int, int], list[int]] = defaultdict(list)
        for index, recall in enumerate(recalls):
            alike[len(recall.maps), len(recall.pointers)].append(index)
        batches = [
            self._decode([objects[i] for i in some], [recalls[i] for i in some], features)
            for group in alike.values()
            for some in _chunks(group, self.objects_at_once)
        ]
        if any(o.bank.policy.chooses for o in objects):
            self._choose(frame, batches)
        found = self._finish(frame, batches, frame - 1 if reverse else frame + 1)
        return [found[id(o)] for o in objects]

    def _decode(
        self,
        objects: Sequence[TrackedObject],
        recalls: Sequence[Recall],
        features: dict[Window, ImageFeatures],
    ) -> _Batch:
        """Decode objects that remember equally many frames."""
        windows = [_window(o) for o in objects]
        here = _gather(features, windows)
        coarse = self.model.attend_to_memory(here.coarse, as_tensors(recalls, self.pointer_span))
        return _Batch(objects, windows, here.coarse, self.model.decode(coarse, here.skips))

    def _choose(self, frame: int, batches: Sequence[_Batch]) -> None:
        """Let each object's policy take a candidate; the host reads those of all at once."""
        offers = []
        for batch in batches:
            found = batch.decoded
            offers += [found.candidates > 0, found.ious.float(), found.object_score.float()]
        read = iter(to_host(offers))
        for batch, masks, ious, scores in zip(batches, read, read, read, strict=True):
            batch.choices = [
                o.bank.choose(frame, Candidates(masks[i], ious[i], float(scores[i, 0]), window))
                for i, (o, window) in enumerate(zip(batch.objects, batch.windows, strict=True))
            ]
            chosen = np.array([choice.index for choice in batch.choices])
            batch.decoded = batch.decoded.pick(to_device(chosen, self.model.device))

    def _finish(self, frame: int, batches: Sequence[_Batch], then: int) -> dict[int, Tracked]:
        """Encode memories, and read all that the host wants to know of all objects at once.

        An accelerator encodes the frame that comes `then` while the host makes masks.
        """
        # The official predictor stores memories in bfloat16, on the CPU too.
        maps = [
            self.model.encode_memory(
                b.coarse, b.decoded.mask, b.decoded.object_score, prompted=False
            ).to(torch.bfloat16)
            for b in batches
        ]
        logits = torch.cat([b.decoded.mask for b in batches]).float()
        pointers = torch.cat([b.decoded.pointer for b in batches]).float()
        scores = torch.cat([b.decoded.object_score for b in batches]).float()
        ious = torch.cat([b.decoded.iou for b in batches]).float()
        objects = [o for b in batches for o in b.objects]
        windows = [window for b in batches for window in b.windows]
        choices = [choice for b in batches for choice in b.choices]
        rendering = Rendering(logits[:, 0], windows)
        reading = Reading([*rendering.tensors, scores, ious])
        self.features.encode_ahead(then, windows)
        *arrays, read_scores, read_ious = reading.arrays()
        score, iou = read_scores[:, 0].tolist(), read_ious.tolist()
        masks = rendering.masks(arrays, self.frame_size, iou, score, self.specks)
        boxes = rendering.boxes(arrays)
        rows = zip(
            (row for each in maps for row in each.unbind()),
            logits.split(1),
            pointers.unbind(),
            scores.split(1),
            strict=True,
        )
        found = {}
        for i, (encoded, mask, pointer, object_score) in enumerate(rows):
            output = Output(mask, pointer, object_score, iou[i], windows[i])
            memory = Memory(
                frame, encoded, pointer, windows[i], boxes[i], iou[i], score[i], choices[i]
            )
            found[id(objects[i])] = Tracked(output, masks[i], memory)
        return found


@dataclass
class _Batch:
    """Objects on their way through a frame together."""

    objects: Sequence[TrackedObject]
    windows: Sequence[Window]
    coarse: Tensor
    decoded: Decoded
    choices: list[Choice] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.choices = self.choices or [Choice(0)] * len(self.objects)


def _combine(
    prompts: Iterable[Prompt],
) -> tuple[ObjectMask | None, list[tuple[float, float]], list[int]]:
    """Reduce what was said to a mask, or to points and labels in which a box comes first."""
    mask: ObjectMask | None = None
    box: list[tuple[float, float]] = []
    points: list[tuple[float, float]] = []
    labels: list[int] = []
    for prompt in prompts:
        if prompt.mask is not None:
            mask, box, points, labels = prompt.mask, [], [], []
        if prompt.box is not None:
            x0, y0, x1, y1 = prompt.box
            box = [(x0, y0), (x1, y1)]
        if prompt.points is not None:
            points += prompt.points.xy
            labels += prompt.points.labels
    return mask, box + points, [BOX_START, BOX_END][: len(box)] + labels


def _output(decoded: Decoded, index: int, window: Window) -> Output:
    return Output(
        logits=decoded.mask[index : index + 1].float(),
        pointer=decoded.pointer[index].float(),
        object_score=decoded.object_score[index : index + 1].float(),
        iou=float(decoded.iou[index]),
        window=window,
    )


def _memory(frame: int, encoded: Tensor, output: Output, choice: Choice | None = None) -> Memory:
    return Memory(
        frame,
        # The official predictor stores memories in bfloat16, on the CPU too.
        encoded.to(torch.bfloat16),
        output.pointer,
        output.window,
        box=box_of((output.logits[0, 0] > 0).cpu().numpy(), output.window),
        iou=output.iou,
        score=float(output.object_score),
        choice=choice or Choice(0),
    )


def _window(o: TrackedObject) -> Window:
    if o.window is None:
        raise ValueError(f"object {o.obj!r} has no window yet")
    return o.window


def _gather(features: dict[Window, ImageFeatures], windows: Sequence[Window]) -> ImageFeatures:
    """Features of each object's window; a batch of one if all share one."""
    if len(set(windows)) == 1:
        return features[windows[0]]
    return ImageFeatures.cat([features[w] for w in windows])


def _chunks(items: Sequence[int], size: int) -> Iterable[Sequence[int]]:
    return (items[i : i + size] for i in range(0, len(items), size))
