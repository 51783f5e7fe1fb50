"""The network's operations on one object: its prompts decoded, its memory made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Decoded, ImageFeatures, OutlineRefiner, Sam2Model
from sam2_plugins.core.model.memory_attention import ONE_BY_ONE
from sam2_plugins.core.model.prompt_encoder import BOX_END, BOX_START
from sam2_plugins.core.model.sam2 import PREVIOUS_LOGIT_LIMIT
from sam2_plugins.core.prompts import POSITIVE, Points, Prompt
from sam2_plugins.core.runtime import in_inference
from sam2_plugins.core.tracking.colours import Colours
from sam2_plugins.core.tracking.feature_cache import FeatureCache, stacked
from sam2_plugins.core.tracking.memory.bank import Memory, Recall, as_tensors, box_in, box_of
from sam2_plugins.core.tracking.outline import Outlines
from sam2_plugins.core.tracking.query import Combined, Output
from sam2_plugins.core.tracking.resample import to_model_masks, to_object_mask
from sam2_plugins.core.tracking.test_time_augmentation import decode_views, views_of
from sam2_plugins.core.tracking.transfer import in_few_sizes, to_device, to_host
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
    specks, refiner
        As for `VideoTracker`.
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
        self.colours = Colours(features) if features.model.variant.trunk.sees_colours else None

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
            return _outputs(self._adopted([frame], [mask], [window]), [window])[0]
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
        return _outputs(decoded, [window])[0]

    @in_inference
    def candidates(self, frame: int, prompt: Prompt, window: Window) -> list[ObjectMask]:
        """All masks that a prompt of points may mean, as a window shows them."""
        clicks, kinds = self._as_tensors(Combined.of([prompt]), window)
        decoded = decode_views(self.model, self._views(frame, window), clicks, kinds)
        count = decoded.candidates.shape[1]
        picks = (decoded.pick(torch.tensor([k], device=clicks.device)) for k in range(count))
        return [self.mask_of(_outputs(pick, [window])[0]) for pick in picks]

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

    def drawn(
        self, decoded: Decoded, row: int, window: Window, candidate: int | None = None
    ) -> ObjectMask:
        """Return the mask of a candidate, in the frame; None: the best, or none if it is absent."""
        if candidate is None:
            logits, iou = decoded.mask[row, 0], float(decoded.iou[row])
        else:
            logits, iou = decoded.candidates[row, candidate], float(decoded.ious[row, candidate])
        score = float(decoded.object_score[row])
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
        logits, score = output.logits[0, 0], float(output.object_score)
        mask = to_object_mask(logits, output.window, self.frame_size, output.iou, score)
        return mask.without_specks(self.specks, keep.on_it if keep else ())

    # -- memories

    @in_inference
    def remember(
        self, frames: Sequence[int], outputs: Sequence[Output], given: Sequence[bool]
    ) -> list[Memory]:
        """Memories of prompted frames, of objects whose masks a person may have given."""
        memories: list[Memory] = []
        for frames_, outputs_, given_ in self._at_once(frames, outputs, given):
            windows = [output.window for output in outputs_]
            logits = torch.cat([output.logits for output in outputs_])
            scores = torch.cat([output.object_score for output in outputs_])
            maps = self._encoded(frames_, windows, logits, scores)
            near = self._near(frames_, windows, logits, given_)
            shown: Sequence[Tensor | None] = [None] * len(frames_)
            if self.colours is not None:
                shown = self.colours.shown(frames_, logits, windows)
            shapes, read = to_host([logits[:, 0] > 0, scores])
            pointers = [output.pointer for output in outputs_]
            boxes = [box_of(shape, at) for shape, at in zip(shapes, windows, strict=True)]
            ious = [output.iou for output in outputs_]
            sure = read[:, 0].tolist()
            each = frames_, maps, pointers, windows, boxes, ious, sure, near, shown
            memories += _memories(*each)
        return memories[: len(outputs)]

    @in_inference
    def rebuild(
        self,
        frames: Sequence[int],
        masks: Sequence[ObjectMask],
        windows: Sequence[Window],
        before: Sequence[Memory | None] | None = None,
    ) -> list[Memory]:
        """Memories of frames made again from their recorded masks, in whatever windows.

        The host knows the masks, and reads nothing.

        Parameters
        ----------
        before
            What they were in other windows, on which how an object looked does not depend.
        """
        memories: list[Memory] = []
        known = before or [None] * len(masks)
        for frames_, masks_, windows_, known_ in self._at_once(frames, masks, windows, known):
            adopted = self._adopted(frames_, masks_, windows_)
            logits, scores = adopted.mask.float(), adopted.object_score.float()
            maps = self._encoded(frames_, windows_, logits, scores)
            near = [one and one.closeup for one in known_]
            if any(one is None for one in near):
                shown = self._near(frames_, windows_, logits, [True] * len(frames_))
                near = [k if k is not None else s for k, s in zip(near, shown, strict=True)]
            pointers = adopted.pointer.float().unbind()
            boxes = [box_in(m.box, at) for m, at in zip(masks_, windows_, strict=True)]
            ious, sure = [mask.iou for mask in masks_], [mask.score for mask in masks_]
            told = [one and one.colours for one in known_]
            each = frames_, maps, pointers, windows_, boxes, ious, sure, near, told
            memories += _memories(*each)
        return memories[: len(masks)]

    def _encoded(
        self, frames: Sequence[int], windows: Sequence[Window], logits: Tensor, scores: Tensor
    ) -> Sequence[Tensor]:
        coarse = self._seen(frames, windows).coarse
        # The official predictor stores memories in bfloat16, on the CPU too.
        encoded = self.model.encode_memory(coarse, logits, scores, prompted=True).to(torch.bfloat16)
        return encoded.unbind()

    def _near(
        self,
        frames: Sequence[int],
        windows: Sequence[Window],
        logits: Tensor,
        given: Sequence[bool],
    ) -> Sequence[Tensor | None]:
        if self.outlines is None:
            return [None] * len(frames)
        return self.outlines.shown(frames, logits, windows, given)

    def _adopted(
        self, frames: Sequence[int], masks: Sequence[ObjectMask], windows: Sequence[Window]
    ) -> Decoded:
        """Take masks as they are."""
        here = self._seen(frames, windows)
        pixels = to_model_masks(masks, windows, self.model.image_size, self.model.device)
        return self.model.adopt_mask(here.coarse, here.skips, pixels)

    def _seen(self, frames: Sequence[int], windows: Sequence[Window]) -> ImageFeatures:
        """Features of windows, each of its frame; a batch of one if all are the same."""
        views = list(zip(frames, windows, strict=True))
        return stacked(self.features.get_all(views), views)

    def _at_once(self, *each: Sequence[Any]) -> Iterator[tuple[Sequence[Any], ...]]:
        """Batches of objects' things, the last filled up: of one where they are served in turn."""
        most = 1 if self.model.device.type in ONE_BY_ONE else PROMPTS_AT_ONCE
        for rows in in_few_sizes(list(zip(*each, strict=True)), most):
            yield tuple(zip(*rows, strict=True))


def _memories(*each: Sequence[Any]) -> list[Memory]:
    """Memories of what each object has of their fields, in order, but the choice of a mask."""
    return [
        Memory(frame, encoded, pointer, window, box, iou, score, closeup=near, colours=colours)
        for frame, encoded, pointer, window, box, iou, score, near, colours in zip(
            *each, strict=True
        )
    ]


def _outputs(decoded: Decoded, windows: Sequence[Window]) -> list[Output]:
    """Outputs of objects, each in its window."""
    masks, pointers = decoded.mask.float().split(1), decoded.pointer.float().unbind()
    scores, ious = decoded.object_score.float().split(1), decoded.iou.tolist()
    each = zip(masks, pointers, scores, ious, windows, strict=True)
    return [Output(mask, pointer, score, iou, at) for mask, pointer, score, iou, at in each]
