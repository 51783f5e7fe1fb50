"""ImageSegmenter: one image, many prompts, and everything in it at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Decoded, Sam2Model
from sam2_plugins.core.model.prompt_encoder import BOX_END, BOX_START, FOREGROUND
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.runtime import in_inference
from sam2_plugins.core.tracking.feature_cache import FeatureCache
from sam2_plugins.core.tracking.resample import to_logits, to_object_mask
from sam2_plugins.core.tracking.test_time_augmentation import decode_views, views_of
from sam2_plugins.core.tracking.windows.planner import Window

PROMPTS_AT_ONCE = 64


class ImageSegmenter:
    """Masks of one image from prompts. The image is encoded once, at the first prompt.

    Parameters
    ----------
    model
        From `load_model`.

    Examples
    --------
    >>> segmenter = ImageSegmenter(load_model("nano"))
    >>> segmenter.set_image(image)
    >>> best, *others = segmenter.predict(points=[(120, 80)])
    """

    def __init__(self, model: Sam2Model) -> None:
        self.model = model
        self._features: FeatureCache | None = None
        self._window = Window(0, 0, 0, 0)

    def set_image(self, image: Any, **options: Any) -> None:
        """Take an image [H, W] or [H, W, 3], a path, or whatever `open_frames` takes with options.

        Of a movie, the first frame is taken.
        """
        frames = open_frames(image, **options)
        self._window = Window(0, 0, frames.width, frames.height)
        self._features = FeatureCache(self.model, frames)

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self._window.height, self._window.width

    def predict(
        self,
        points: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask: ObjectMask | ArrayLike | None = None,
    ) -> list[ObjectMask]:
        """Masks of one object, best first: three for a single click, one for anything clearer.

        Parameters
        ----------
        points, labels
            (x, y) in pixels [n, 2]; 1 for on the object, 0 for not on it.
        box
            x0, y0, x1, y1, ends exclusive.
        mask
            A mask [H, W] to start from.

        Raises
        ------
        PromptError
            If the prompt does not fit the image, or no image was set.
        """
        return self.predict_many([Prompt.of(0, 0, points, labels, box, mask)])[0]

    @in_inference
    def predict_many(self, prompts: Sequence[Prompt]) -> list[list[ObjectMask]]:
        """Masks of many objects, each with its own prompt; see `predict`."""
        for prompt in prompts:
            prompt.check_fits(self.frame_size)
        encoded = [self._encode(prompt) for prompt in prompts]
        answers: list[list[ObjectMask]] = [[] for _ in prompts]
        for index in _alike(encoded):
            points = torch.stack([encoded[i][0] for i in index])
            labels = torch.stack([encoded[i][1] for i in index])
            starts = [start for i in index if (start := encoded[i][2]) is not None]
            start = torch.cat(starts) if starts else None
            count = self.model.variant.prompt_views if start is None else 1
            decoded = self._decode(points, labels, start, count)
            for row, i in enumerate(index):
                answers[i] = self._candidates(decoded, row)
        return answers

    @in_inference
    def everything(
        self,
        points_per_side: int = 32,
        min_iou: float = 0.8,
        min_stability: float = 0.95,
        stability_offset: float = 1.0,
        max_overlap: float = 0.7,
        min_area: int = 0,
    ) -> list[ObjectMask]:
        """Masks of whatever a grid of clicks finds (Kirillov et al. 2023, appendix), best first.

        Parameters
        ----------
        points_per_side
            The grid's clicks along each side of the image.
        min_iou
            Masks of a lower predicted IoU are left out.
        min_stability, stability_offset
            So are masks that change when the logits' threshold moves by the offset: the IoU of the
            two thresholded masks is at least `min_stability`.
        max_overlap
            Of two masks that overlap by a higher IoU, the better one stays.
        min_area
            In pixels of the image.
        """
        side = (np.arange(points_per_side) + 0.5) / points_per_side * self.model.image_size
        grid = torch.tensor(np.stack(np.meshgrid(side, side), -1).reshape(-1, 1, 2)).float()
        found: list[ObjectMask] = []
        for points in grid.split(PROMPTS_AT_ONCE):
            labels = torch.full(points.shape[:2], FOREGROUND)
            decoded = self._decode(points, labels)
            stability = _stability(decoded.candidates, stability_offset)
            good = (decoded.ious >= min_iou) & (stability >= min_stability)
            good &= decoded.object_score > 0
            for row, column in torch.nonzero(good).tolist():
                mask = self._mask(decoded, row, column)
                if mask.visible and mask.area >= min_area:
                    found.append(mask)
        return _without_repeats(found, max_overlap)

    def _decode(
        self, points: Tensor, labels: Tensor, previous: Tensor | None = None, count: int = 1
    ) -> Decoded:
        """Ask in so many views."""
        if self._features is None:
            raise PromptError("There is no image yet: call set_image first.")
        views = views_of(self._window, count)
        features = self._features.get(0, views)
        device = self.model.device
        seen = [features[view] for view in views]
        return decode_views(self.model, seen, points.to(device), labels.to(device), previous)

    def _encode(self, prompt: Prompt) -> tuple[Tensor, Tensor, Tensor | None]:
        """Points, labels and starting logits of a prompt, in the model's input."""
        size = self.model.image_size
        xy: list[tuple[float, float]] = []
        labels: list[int] = []
        if prompt.box is not None:
            x0, y0, x1, y1 = prompt.box
            xy, labels = [(x0, y0), (x1, y1)], [BOX_START, BOX_END]
        if prompt.points is not None:
            xy += prompt.points.xy
            labels += prompt.points.labels
        previous = None
        if prompt.mask is not None:
            previous = to_logits(prompt.mask, self._window, size).to(self.model.device)
        points = self._window.to_model(np.array(xy, dtype=float).reshape(-1, 2), size)
        return torch.tensor(points, dtype=torch.float32), torch.tensor(labels), previous

    def _candidates(self, decoded: Decoded, row: int) -> list[ObjectMask]:
        order = decoded.ious[row].argsort(descending=True).tolist()
        return [self._mask(decoded, row, column) for column in order]

    def _mask(self, decoded: Decoded, row: int, column: int) -> ObjectMask:
        return to_object_mask(
            decoded.candidates[row, column],
            self._window,
            self.frame_size,
            float(decoded.ious[row, column]),
            float(decoded.object_score[row]),
        )


def _alike(encoded: Sequence[tuple[Tensor, Tensor, Tensor | None]]) -> Iterator[list[int]]:
    """Indices of prompts that fit in one batch: equally many points, all or none with a start."""
    groups: dict[tuple[int, bool], list[int]] = {}
    for i, (points, _, previous) in enumerate(encoded):
        groups.setdefault((len(points), previous is None), []).append(i)
    for group in groups.values():
        for first in range(0, len(group), PROMPTS_AT_ONCE):
            yield group[first : first + PROMPTS_AT_ONCE]


def _stability(logits: Tensor, offset: float) -> Tensor:
    inner = (logits > offset).sum((-1, -2)).float()
    outer = (logits > -offset).sum((-1, -2)).float()
    return inner / outer.clamp(min=1)


def _without_repeats(masks: Sequence[ObjectMask], max_overlap: float) -> list[ObjectMask]:
    """Greedy non-maximum suppression by the IoU of the masks themselves."""
    kept: list[ObjectMask] = []
    for mask in sorted(masks, key=lambda m: -m.iou):
        if all(mask.iou_with(other) <= max_overlap for other in kept):
            kept.append(mask)
    return kept
