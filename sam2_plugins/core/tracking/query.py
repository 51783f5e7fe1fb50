"""What the mask of an object on one frame is predicted from, and what comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Box, Click, Points, Prompt
from sam2_plugins.core.tracking.correction import is_detail, is_elsewhere
from sam2_plugins.core.tracking.memory.bank import Recall
from sam2_plugins.core.tracking.windows.planner import Window


@dataclass(frozen=True)
class Combined:
    """What the prompts of an object on one frame amount to.

    A mask replaces what came before it, the last box counts, and clicks add up.
    """

    mask: ObjectMask | None = None
    box: Box | None = None
    clicks: Points | None = None

    @classmethod
    def of(cls, prompts: Iterable[Prompt]) -> Combined:
        """Combine prompts in the order in which they were given."""
        mask: ObjectMask | None = None
        box: Box | None = None
        xy: tuple[tuple[float, float], ...] = ()
        labels: tuple[int, ...] = ()
        for prompt in prompts:
            if prompt.mask is not None:
                mask, box, xy, labels = prompt.mask, None, (), ()
            box = prompt.box or box
            if prompt.points is not None:
                xy, labels = xy + prompt.points.xy, labels + prompt.points.labels
        return cls(mask, box, Points(xy, labels) if xy else None)


@dataclass(frozen=True)
class Output:
    """What the network gave for an object on one frame.

    Attributes
    ----------
    logits
        [1, 1, 4 g, 4 g] low-resolution logits of the mask in its window.
    pointer
        [C] object pointer.
    object_score
        [1, 1] logit.
    """

    logits: Tensor
    pointer: Tensor
    object_score: Tensor
    iou: float
    window: Window


@dataclass(frozen=True)
class Prediction:
    """The mask that prompts of an object on a frame gave.

    Attributes
    ----------
    side
        Side of the object's windows in pixels; None: the whole frame.
    guess
        A box, by scale search, around what the clicks are on; None if clicks refuted it.
    unmet
        Clicks that the mask goes against although every way to meet them was tried.
    """

    output: Output
    mask: ObjectMask
    side: int | None = None
    guess: Prompt | None = None
    unmet: tuple[Click, ...] = ()


Answer = Prediction
"""Earlier name, which is in files of memories."""


@dataclass(frozen=True)
class Query:
    """What an object's mask on a frame is predicted from.

    Attributes
    ----------
    prompts
        All prompts of the object on the frame, in order; see `Combined`.
    predicted
        The prediction from all of them but the last.
    recorded
        The mask that is there: tracked, or of `predicted`.
    side, window
        Of the object so far: side of its windows, and where it was looked for last.
    recall
        Gives what the object remembers, if its memory conditions the mask in a window.
    """

    frame: int
    prompts: Sequence[Prompt]
    predicted: Prediction | None = None
    recorded: ObjectMask | None = None
    side: int | None = None
    window: Window | None = None
    recall: Callable[[Window], Recall] | None = None

    @cached_property
    def given(self) -> Combined:
        """What the prompts amount to."""
        return Combined.of(self.prompts)

    def corrects(self, nearby: bool) -> tuple[ObjectMask, Click] | None:
        """Return the mask that stands, and the click that corrects it; None for any other click.

        Parameters
        ----------
        nearby
            What the model made of a box stands too, and of clicks where the last one is on a
            detail.
        """
        standing, click = self.recorded, self._last_click
        if standing is None or click is None or not standing.visible:
            return None
        stands = self._stands or (
            nearby and (self.given.box is not None or is_detail(standing, click))
        )
        return (standing, click) if stands and not is_elsewhere(standing, click) else None

    @property
    def moves(self) -> bool:
        """Whether the last click is on something else than the mask that was tracked or painted."""
        standing, click = self.recorded, self._last_click
        if standing is None or click is None or not (self._stands and standing.visible):
            return False
        return is_elsewhere(standing, click)

    @property
    def _stands(self) -> bool:
        """Whether the mask that is there was tracked, or painted."""
        return self.recall is not None or any(prompt.mask for prompt in self.prompts)

    @property
    def _last_click(self) -> Click | None:
        points = self.prompts[-1].points
        return None if points is None else (*points.xy[-1], points.labels[-1])


def unmet_sentence(click: Click) -> str:
    """Name a click that a mask goes against, and what helps."""
    x, y, on_it = click
    wrong = "leaves out" if on_it else "still covers"
    return (
        f"the mask {wrong} the click at ({x:g}, {y:g}): click nearer to the middle of what is "
        "meant, or draw a box."
    )
