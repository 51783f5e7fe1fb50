"""The network's operations on one object: its prompts decoded, its memory made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Decoded, ImageFeatures, OutlineRefiner, Sam2Model
from sam2_plugins.core.model.prompt_encoder import BOX_END, BOX_START
from sam2_plugins.core.model.sam2 import PREVIOUS_LOGIT_LIMIT
from sam2_plugins.core.prompts import POSITIVE, Points, Prompt
from sam2_plugins.core.runtime import in_inference
from sam2_plugins.core.tracking.feature_cache import FeatureCache
from sam2_plugins.core.tracking.memory.bank import Memory, Recall, as_tensors, box_of
from sam2_plugins.core.tracking.outline import Outlines
from sam2_plugins.core.tracking.query import Combined, Output
from sam2_plugins.core.tracking.resample import (
    to_frame_logits,
    to_logits,
    to_model_mask,
    to_object_mask,
)
from sam2_plugins.core.tracking.test_time_augmentation import decode_views, views_of
from sam2_plugins.core.tracking.transfer import to_device
from sam2_plugins.core.tracking.windows.planner import Window

MIN_PART_SHARE = 0.1
"""Parts of a mask that are smaller than this share of its largest part are left out."""

PROMPTS_AT_ONCE = 64
"""Prompts of objects of their own that are decoded in one batch."""


class Operations:
    """The network on the frames of one movie; each operation runs under torch's inference state.

    Parameters
    ----------
    pointer_span
        Distance in frames that scales the temporal encoding of object pointers.
    specks
        Parts of a mask that are smaller than this share of its largest part are left out.
    refiner
        Redraws the outlines of tracked objects; None: they stay as they are decoded.
    """

    def __init__(
        self,
        features: FeatureCache,
        pointer_span: int = 1,
        specks: float = MIN_PART_SHARE,
        refiner: OutlineRefiner | None = None,
    ) -> None:
        self.features = features
        self.model: Sam2Model = features.model
        self.frame_size = features.frame_size
        self.pointer_span = pointer_span
        self.specks = specks
        self.outlines = None if refiner is None else Outlines(features, refiner)

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
        """Decode all prompts of an object on a frame.

        Parameters
        ----------
        prompts
            In the order in which they were given.
        previous
            Logits [1, 1, 4 g, 4 g] in the same window, to be refined.
        recall
            What the object remembers, if its memory conditions the mask.
        """
        model, given = self.model, Combined.of(prompts)
        mask = given.mask
        if mask is not None and given.box is None and given.clicks is None:
            return self._given(frame, mask, window)
        if previous is not None:
            previous = previous.clamp(-PREVIOUS_LOGIT_LIMIT, PREVIOUS_LOGIT_LIMIT)
        clicks, kinds = self._as_tensors(given, window)
        if recall is not None and recall.maps:
            here = self.features.get(frame, [window])[window]
            memories = as_tensors([recall], self.pointer_span)
            coarse = model.attend_to_memory(here.coarse, memories)
            decoded = model.decode(coarse, here.skips, clicks, kinds, previous)
        else:
            # A given mask is right but near the click, and each view would change more of it.
            views = self._views(frame, window, None if mask is None else 1)
            decoded = decode_views(model, views, clicks, kinds, previous)
        return _output(decoded, window)

    @in_inference
    def candidates(self, frame: int, prompt: Prompt, window: Window) -> list[ObjectMask]:
        """All masks that a prompt of points may mean, as a window shows them."""
        clicks, kinds = self._as_tensors(Combined.of([prompt]), window)
        decoded = decode_views(self.model, self._views(frame, window), clicks, kinds)
        count = decoded.candidates.shape[1]
        picks = (decoded.pick(torch.tensor([k], device=clicks.device)) for k in range(count))
        return [self.mask_of(_output(pick, window)) for pick in picks]

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

    def _as_tensors(self, given: Combined, window: Window) -> tuple[Tensor, Tensor]:
        """Points [1, P, 2] in pixels of the model's input, and their labels [1, P].

        A box is two points, its corners, before the clicks.
        """
        points: list[tuple[float, float]] = []
        labels: list[int] = []
        if given.box is not None:
            x0, y0, x1, y1 = given.box
            points, labels = [(x0, y0), (x1, y1)], [BOX_START, BOX_END]
        if given.clicks is not None:
            points += given.clicks.xy
            labels += given.clicks.labels
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
        return mask.without_specks(self.specks, keep.on_it if keep else ())

    def logits_of(self, mask: ObjectMask, window: Window) -> Tensor:
        """Logits that stand for a recorded mask."""
        return to_logits(mask, window, self.model.image_size, self.model.device)

    def frame_logits(self, output: Output) -> Tensor:
        """Logits [H, W] of an output; minus infinity outside of its window."""
        return to_frame_logits(output.logits[0, 0], output.window, self.frame_size)

    # -- memories

    @in_inference
    def remember(self, frame: int, output: Output, given: bool) -> Memory:
        """Memory of a prompted frame, whose mask a person may have given."""
        window = output.window
        here = self.features.get(frame, [window])[window]
        encoded = self.model.encode_memory(
            here.coarse, output.logits, output.object_score, prompted=True
        )
        near = None
        if self.outlines is not None:
            near = self.outlines.shown(frame, output.logits, window, given)
        return Memory(
            frame,
            # The official predictor stores memories in bfloat16, on the CPU too.
            encoded[0].to(torch.bfloat16),
            output.pointer,
            window,
            box=box_of((output.logits[0, 0] > 0).cpu().numpy(), window),
            iou=output.iou,
            score=float(output.object_score),
            closeup=near,
        )

    @in_inference
    def rebuild(self, frame: int, mask: ObjectMask, window: Window) -> Memory:
        """Memory of a frame made again from its recorded mask, in whatever window."""
        given = self._given(frame, mask, window)
        return replace(self.remember(frame, given, True), iou=mask.iou, score=mask.score)

    def _given(self, frame: int, mask: ObjectMask, window: Window) -> Output:
        """Take a mask as it is."""
        here = self.features.get(frame, [window])[window]
        pixels = to_model_mask(mask, window, self.model.image_size, self.model.device)
        return _output(self.model.adopt_mask(here.coarse, here.skips, pixels), window)


def _output(decoded: Decoded, window: Window) -> Output:
    """Output of the first object."""
    return Output(
        logits=decoded.mask[:1].float(),
        pointer=decoded.pointer[0].float(),
        object_score=decoded.object_score[:1].float(),
        iou=float(decoded.iou[0]),
        window=window,
    )
