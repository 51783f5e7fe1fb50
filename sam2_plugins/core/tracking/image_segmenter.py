"""ImageSegmenter: one image, many prompts, and everything in it at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.frames import FrameSource, open_frames
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.feature_cache import FeatureCache
from sam2_plugins.core.tracking.memory.policies import get_policy
from sam2_plugins.core.tracking.operations import Operations
from sam2_plugins.core.tracking.prompt_predictor import PromptPredictor
from sam2_plugins.core.tracking.proposals import ClickGrid, make_proposer, propose_by_clicks
from sam2_plugins.core.tracking.query import Prediction
from sam2_plugins.core.tracking.tracked_object import TrackedObject
from sam2_plugins.core.tracking.windows.planner import WindowChoice, WindowPlanner

CACHE_MEGABYTES = 256
"""Windows of the image that stay encoded for the next prompt."""


class ImageSegmenter:
    """Masks of one image from prompts: those that `VideoTracker` gives on a frame, exactly.

    Parameters
    ----------
    model
        From `load_model`.
    window
        As for `VideoTracker`.

    Examples
    --------
    >>> segmenter = ImageSegmenter(load_model("nano"))
    >>> segmenter.set_image(image)
    >>> best, *others = segmenter.predict(points=[(120, 80)])
    """

    def __init__(self, model: Sam2Model, window: WindowChoice = "auto") -> None:
        self.model = model
        self._choice = window
        self._frames: FrameSource | None = None

    def set_image(self, image: Any, **options: Any) -> None:
        """Take an image [H, W] or [H, W, 3], a path, or whatever `open_frames` takes with options.

        Of a movie, the first frame is taken.
        """
        self._frames = open_frames(image, **options)
        self._features = FeatureCache(self.model, self._frames, CACHE_MEGABYTES)
        self._operations = Operations(self._features)
        self._planner = WindowPlanner(self.frame_size, self.model.image_size, self._choice)
        self._predictor = PromptPredictor(self._operations, self._planner)

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width of the image.

        Raises
        ------
        PromptError
            If no image was set.
        """
        if self._frames is None:
            raise PromptError("There is no image yet: call set_image first.")
        return self._frames.height, self._frames.width

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
        prompt = Prompt.of(0, 0, points, labels, box, mask)
        prompt.check_fits(self.frame_size)
        prediction = self.prediction(prompt)
        only_click = prompt.points is not None and len(prompt.points.xy) == 1
        if not only_click or box is not None or mask is not None:
            return [prediction.mask]
        masks = self._operations.candidates(prompt.frame, prompt, prediction.output.window)
        same = max(masks, key=prediction.mask.iou_with)
        others = sorted((m for m in masks if m is not same), key=lambda m: -m.iou)
        return [prediction.mask, *others]

    def prediction(self, prompt: Prompt) -> Prediction:
        """Return the mask of a prompt, with the clicks that it does not meet."""
        tracked = TrackedObject(prompt.obj, self.frame_size, get_policy("sam2"))
        *_, prediction = (
            tracked.add_prompt(part, self._predictor.predict) for part in prompt.parts()
        )
        return prediction

    answer = prediction
    """Earlier name."""

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

        Small objects are looked for through windows, as those of a click are.

        Parameters
        ----------
        points_per_side
            The grid's clicks along each side of the image; windows have their own, finer one.
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
        wanted = ClickGrid(
            points_per_side, min_iou, min_stability, stability_offset, max_overlap, min_area
        )
        assert self.frame_size  # an image has to be set
        return propose_by_clicks(self._operations, self._planner, 0, wanted)

    def objects(self, like: Sequence[ObjectMask] = ()) -> list[ObjectMask]:
        """All objects of the image, the surest first; they do not overlap.

        With nano, cells and nuclei are found by what it was taught of them; other models find
        whatever a grid of clicks does.

        Parameters
        ----------
        like
            Masks of a few objects, whose size the others have too.
        """
        assert self.frame_size  # an image has to be set
        return list(make_proposer(self._operations, self._planner, like)(0))
