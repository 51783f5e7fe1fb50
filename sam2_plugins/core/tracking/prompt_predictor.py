"""From the prompts of an object on one frame to its mask: the one way, for images and movies.

Every prompt goes through here: the window is planned from all prompts of the frame and the mask
that is there, an object of unknown size is searched at several scales, and a prediction that goes
against a click is tried again in other ways before it is given, with the clicks that it still does
not meet.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.masks.object_mask import PixelBox
from sam2_plugins.core.prompts import Box, Click, Points, Prompt
from sam2_plugins.core.tracking.correction import brushed, corrected, obeys
from sam2_plugins.core.tracking.operations import Operations
from sam2_plugins.core.tracking.query import Combined, Prediction, Query
from sam2_plugins.core.tracking.resample import to_logits
from sam2_plugins.core.tracking.windows.objectness import guessed_boxes
from sam2_plugins.core.tracking.windows.planner import Extent, Window, WindowPlanner, extent_of
from sam2_plugins.core.tracking.windows.scale_search import (
    find_object,
    is_photograph,
    unmet_clicks,
)


@dataclass(frozen=True)
class _Attempt:
    """One way to predict: in which window, and from what beside the prompts.

    Attributes
    ----------
    found
        A mask that a search found, to be taken as it is.
    """

    window: Window
    side: int | None
    guess: Prompt | None = None
    previous: bool = True
    recall: bool = True
    found: ObjectMask | None = None


class PromptPredictor:
    """Predicts masks from prompts on the frames of one movie, or on an image."""

    def __init__(self, operations: Operations, planner: WindowPlanner) -> None:
        self._operations = operations
        self._planner = planner

    def predict(self, query: Query) -> Prediction:
        """Return the mask of all prompts of a query, and the clicks that it does not meet."""
        corrects = query.corrects(self._operations.model.variant.trunk.corrects_nearby)
        return self._correct(query, *corrects) if corrects else self._meet(query)

    def _meet(self, query: Query) -> Prediction:
        """Return the mask that meets most clicks; of equals, that of the most natural attempt."""
        best: Prediction | None = None
        for attempt in self._attempts(query):
            prediction = self._try(query, attempt)
            if best is None or len(prediction.unmet) < len(best.unmet):
                best = prediction
            if not best.unmet:
                break
        assert best is not None
        return best

    def _correct(self, query: Query, standing: ObjectMask, click: Click) -> Prediction:
        """Return the mask nearest to the one that stands, and true to the click."""
        if obeys(standing, click):
            return self._adopt(query, standing, next(self._attempts(query)))
        for attempt in self._attempts(query):
            prediction = self._try(query, attempt)
            # A search knows nothing of the object but the places where it is not.
            found = (
                corrected(standing, prediction.mask, click)
                if click[2] or attempt.previous
                else None
            )
            if found is not None:
                break
        return self._adopt(query, found or brushed(standing, click), attempt)

    def _adopt(self, query: Query, mask: ObjectMask, attempt: _Attempt) -> Prediction:
        """Take a mask as it is for the prediction, in the window of an attempt."""
        as_mask = Prompt(query.frame, query.prompts[-1].obj, mask=mask)
        output = self._operations.prompt(query.frame, [as_mask], window=attempt.window)
        unmet = self._unmet(mask, attempt.window, query.given.clicks)
        return Prediction(output, mask, attempt.side, unmet=unmet)

    def _attempts(self, query: Query) -> Iterator[_Attempt]:
        clicks, extent = query.given.clicks, _extent_of(query.given)
        if query.moves and clicks is not None:
            # What the object remembers would only be stretched to the click.
            yield self._search(query, clicks)
        first = self._plan(query, clicks, extent)
        yield first
        if clicks is None:
            return
        if first.guess is not None:
            yield replace(first, guess=None)
        if first.previous and extent is None:
            # What was there before is not what the clicks are on.
            yield self._search(query, clicks)
        if query.recall is not None and first.recall:
            yield replace(first, guess=None, recall=False)

    # -- where to look

    def _plan(self, query: Query, clicks: Points | None, extent: Extent | None) -> _Attempt:
        planner = self._planner
        if extent is not None:
            return self._show(query, extent)
        on_it = _box_around(clicks)
        before = query.predicted
        if before is not None and _shows(before.output.window, on_it):
            return _Attempt(before.output.window, before.side, before.guess)
        if before is None and query.recorded is not None and query.recorded.visible:
            extent = extent_of(query.recorded)
            assert extent is not None
            there = self._show(query, extent)
            if _shows(there.window, on_it):
                return there
        elif before is None and query.window is not None and on_it is not None:
            window = planner.window(on_it, query.side)
            if _shows(window, on_it):
                return _Attempt(window, query.side)
        if on_it is None or clicks is None:
            window = query.window or planner.whole
            return _Attempt(window, query.side if query.window else None)
        return self._search(query, clicks)

    def _show(self, query: Query, extent: Extent) -> _Attempt:
        """Look through a window around what is known of the object."""
        side = query.side
        if query.window is None or self._planner.crowded(extent, side):
            side = self._planner.side_for(extent)
        return _Attempt(self._planner.window(extent.box, side), side)

    def _search(self, query: Query, clicks: Points) -> _Attempt:
        """Search an object of unknown size through several windows, and guess its box."""
        planner = self._planner
        on_it = _box_around(clicks) or planner.whole.box
        around = (planner.around(on_it, side) for side in (None, *reversed(planner.ladder())))
        windows = [window for window in around if _shows(window, on_it)]
        whole = _Attempt(planner.whole, None, previous=False, recall=False)
        prompt = Prompt(query.frame, query.prompts[-1].obj, points=clicks)
        picture = self._operations.features.picture(query.frame)
        photograph = is_photograph(picture)
        trunk = self._operations.model.variant.trunk
        judged = photograph and trunk.judges_clicks and len(clicks.on_it) > 0
        if len(windows) == 1 and not judged:
            return whole
        found = find_object(
            clicks,
            windows,
            planner,
            partial(self._candidates, prompt, guess=judged),
            photograph,
            picture if judged else None,
        )
        if found is None or (photograph and not judged and found.window == planner.whole):
            return whole
        side = planner.side_for(found.extent)
        box = found.extent.box
        return _Attempt(
            planner.window(_united(box, on_it), side),
            side,
            # Asked for by its box, it would be chosen by the predicted IoU after all.
            guess=None if judged else Prompt(query.frame, prompt.obj, box=Box(*box)),
            previous=False,
            recall=False,
            found=found.mask if judged else None,
        )

    def _candidates(self, prompt: Prompt, window: Window, guess: bool) -> list[ObjectMask]:
        """All masks that clicks may mean, as a window shows them, and those of guessed boxes."""
        frame, clicks = prompt.frame, prompt.points
        assert clicks is not None
        boxes = guessed_boxes(clicks.on_it[0], window) if guess else []
        boxed = (
            self._operations.candidates(frame, replace(prompt, box=box), window) for box in boxes
        )
        return [
            *self._operations.candidates(frame, prompt, window),
            *(max(masks, key=lambda mask: mask.iou) for masks in boxed),
        ]

    # -- what is there

    def _try(self, query: Query, attempt: _Attempt) -> Prediction:
        if attempt.found is not None:
            return self._adopt(query, attempt.found, attempt)
        prompts = [*([attempt.guess] if attempt.guess else []), *query.prompts]
        output = self._operations.prompt(
            query.frame,
            prompts,
            window=attempt.window,
            previous=self._previous(query, attempt),
            recall=query.recall(attempt.window) if query.recall and attempt.recall else None,
        )
        last, clicks = query.prompts[-1].mask, query.given.clicks
        if last is not None and clicks is None:
            return Prediction(output, last, attempt.side)
        mask = self._operations.mask_of(output, keep=clicks)
        unmet = self._unmet(mask, attempt.window, clicks)
        return Prediction(output, mask, attempt.side, attempt.guess, unmet)

    def _previous(self, query: Query, attempt: _Attempt) -> Tensor | None:
        """Logits to refine: those of the prediction so far, or what stands for the mask there."""
        before = query.predicted
        if not attempt.previous:
            return None
        if before is not None and before.output.window == attempt.window:
            return before.output.logits
        if query.recorded is not None and query.recorded.visible:
            model = self._operations.model
            return to_logits(query.recorded, attempt.window, model.image_size, model.device)
        return None

    def _unmet(self, mask: ObjectMask, window: Window, clicks: Points | None) -> tuple[Click, ...]:
        if clicks is None:
            return ()
        # A pixel of the decoder's mask, in pixels of the frame.
        reach = math.ceil(max(window.width, window.height) / self._operations.model.mask_size)
        return tuple((*clicks.xy[i], clicks.labels[i]) for i in unmet_clicks(mask, clicks, reach))


def _extent_of(given: Combined) -> Extent | None:
    """Extent of the mask or box among prompts, and of the clicks on the object with it."""
    extent = None if given.mask is None else extent_of(given.mask)
    if given.box is not None:
        x0, y0, x1, y1 = (round(side) for side in given.box)
        extent = Extent.of_box((x0, y0, x1, y1))
    on_it = _box_around(given.clicks)
    if extent is None or on_it is None:
        return extent
    return replace(extent, box=_united(extent.box, on_it))


def _box_around(clicks: Points | None) -> PixelBox | None:
    """Pixels of the clicks on the object; None if there are none."""
    on_it = [(round(x), round(y)) for x, y in clicks.on_it] if clicks else []
    if not on_it:
        return None
    xs, ys = zip(*on_it, strict=True)
    return min(xs), min(ys), max(xs) + 1, max(ys) + 1


def _united(one: PixelBox, other: PixelBox) -> PixelBox:
    return (
        min(one[0], other[0]),
        min(one[1], other[1]),
        max(one[2], other[2]),
        max(one[3], other[3]),
    )


def _shows(window: Window, box: PixelBox | None) -> bool:
    """Whether a window shows a box, whole."""
    if box is None:
        return True
    x0, y0, x1, y1 = window.box
    # A click on the far edge of the last pixel of a frame is inside.
    return x0 <= box[0] and y0 <= box[1] and box[2] - 1 <= x1 and box[3] - 1 <= y1
