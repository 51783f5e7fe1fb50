"""Masks redrawn from near: where the redrawn outline ends up, and when there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.checkpoints.companions import load_outline_refiner
from sam2_plugins.core.families.sam2 import FAMILY as SAM2
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import OutlineRefiner, Sam2Model, build_model
from sam2_plugins.core.model.outline_refiner import MASK, SIDE
from sam2_plugins.core.tracking.memory.bank import Memory, MemoryBank
from sam2_plugins.core.tracking.memory.policies import get_policy
from sam2_plugins.core.tracking.outline import FINER
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.core.tracking.windows.planner import Window
from tests.core.conftest import squares

pytestmark = pytest.mark.usefixtures("no_gradients")

BIG, SMALL = Window(0, 0, 200, 160), Window(40, 20, 80, 80)


@pytest.fixture
def no_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


class Shown(OutlineRefiner):
    """Draws the outline that was shown."""

    def forward(self, closeups: Tensor) -> Tensor:
        return closeups[:, 2, MASK][:, None] / 255 * 20 - 10


class Leaning(OutlineRefiner):
    """Draws the left half of the closeup alone."""

    def forward(self, closeups: Tensor) -> Tensor:
        drawn = torch.full_like(closeups[:, 0, MASK][:, None].float(), -1.0)
        drawn[..., : SIDE // 2] = 3.0
        return drawn


class Nothing(OutlineRefiner):
    """Draws nothing."""

    def forward(self, closeups: Tensor) -> Tensor:
        return -torch.ones_like(closeups[:, 0, MASK][:, None])


def disc_logits(size: int, centre: tuple[float, float], radius: float, window: Window) -> Tensor:
    """Logits [1, 1, size, size] of a disc of the frame, in a window."""
    steps = (torch.arange(size) + 0.5) / size
    x = window.x + window.width * steps - centre[0]
    y = window.y + window.height * steps - centre[1]
    return (radius - (x[None] ** 2 + y[:, None] ** 2).sqrt())[None, None]


def make_tracker(model: Sam2Model, refiner: OutlineRefiner | None) -> VideoTracker:
    movie = np.random.default_rng(0).integers(0, 255, (6, 160, 200), dtype=np.uint8)
    return VideoTracker(model, movie, refiner=refiner)


@pytest.mark.parametrize(("window", "radius"), [(BIG, 18), (SMALL, 9)])
def test_a_redrawn_outline_lies_where_the_object_is_and_has_its_shape(
    small_model: Sam2Model, window: Window, radius: float
) -> None:
    outlines = make_tracker(small_model, Shown()).outlines
    assert outlines is not None
    there, here = (70.0, 60.0), (84.0, 55.0)
    shown = outlines.shown([0], disc_logits(64, there, radius, window), [window], [True])[0]
    blurred = disc_logits(32, here, radius, window).clamp(-2, 2)
    logits, closeups = outlines.redraw(1, blurred, [window], [(shown, shown)])
    assert logits.shape[2:] == (32 * FINER, 32 * FINER)
    true = disc_logits(32 * FINER, here, radius, window) > 0
    found = logits > 0
    assert float((found & true).sum() / (found | true).sum()) > 0.85
    assert closeups.shape == (1, 2, SIDE, SIDE)
    assert torch.equal(closeups[0, MASK] > 127, shown[MASK] > 127)


def test_an_object_is_drawn_as_in_a_mirror(small_model: Sam2Model) -> None:
    outlines = make_tracker(small_model, Leaning()).outlines
    assert outlines is not None
    logits = disc_logits(32, (80, 60), 10, SMALL)
    shown = outlines.shown([0], logits, [SMALL], [True])[0]
    _, closeups = outlines.redraw(1, logits, [SMALL], [(shown, shown)])
    drawn = closeups[0, MASK]
    assert torch.equal(drawn, drawn.flip(-1)) and (drawn > 127).all()


def test_an_object_never_seen_from_near_keeps_its_mask(small_model: Sam2Model) -> None:
    outlines = make_tracker(small_model, Shown()).outlines
    assert outlines is not None
    logits = disc_logits(16, (80, 60), 10, SMALL)
    redrawn, _ = outlines.redraw(1, logits, [SMALL], [None])
    expected = torch.nn.functional.interpolate(logits, scale_factor=FINER, mode="bilinear")
    assert torch.equal(redrawn, expected)


def test_an_object_that_fills_its_window_is_redrawn_too(small_model: Sam2Model) -> None:
    outlines = make_tracker(small_model, Shown()).outlines
    assert outlines is not None
    large = Window(40, 20, 80, 80)
    shown = outlines.shown([0], disc_logits(64, (80, 60), 30, large), [large], [True])[0]
    blurred = disc_logits(16, (80, 60), 30, large).clamp(-2, 2)
    redrawn, _ = outlines.redraw(1, blurred, [large], [(shown, shown)])
    expected = torch.nn.functional.interpolate(blurred, scale_factor=FINER, mode="bilinear")
    assert not torch.equal(redrawn, expected)
    true = disc_logits(16 * FINER, (80, 60), 30, large) > 0
    found = redrawn > 0
    assert float((found & true).sum() / (found | true).sum()) > 0.85


@pytest.mark.parametrize("colours", ["photograph", "grey"])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("radius", [9, 30])
def test_an_own_outline_that_fills_its_window_on_a_photograph_is_nothing_to_go_by(
    small_model: Sam2Model, colours: str, given: bool, radius: float
) -> None:
    movie = np.random.default_rng(0).integers(0, 255, (2, 160, 200, 3), dtype=np.uint8)
    if colours == "grey":
        movie[...] = movie[..., :1]
    outlines = VideoTracker(small_model, movie, refiner=Shown()).outlines
    assert outlines is not None
    shown = outlines.shown([0], disc_logits(64, (80, 60), radius, BIG), [BIG], [given])[0]
    doubtful = colours == "photograph" and not given and radius == 30
    assert (shown is None) == doubtful


def test_a_photograph_keeps_the_closeup_of_a_given_mask_alone(small_model: Sam2Model) -> None:
    movie = np.random.default_rng(0).integers(0, 255, (2, 96, 96, 3), dtype=np.uint8)
    mask = np.zeros((96, 96), bool)
    mask[8:88, 8:88] = True
    kept = []
    for prompt in ({"mask": mask}, {"box": (8, 8, 88, 88)}):
        tracker = VideoTracker(small_model, movie, window=None, refiner=Shown())
        tracker.add_prompt(0, 1, **prompt)
        for _ in tracker.propagate():
            pass
        kept.append(tracker._objects[1].bank.prompted[0].closeup is not None)
    assert kept == [True, False]


def test_an_object_that_the_decoder_sees_is_not_lost_by_the_refiner(
    small_model: Sam2Model,
) -> None:
    outlines = make_tracker(small_model, Nothing()).outlines
    assert outlines is not None
    logits = disc_logits(32, (80, 60), 9, SMALL)
    near = outlines.shown([0], logits, [SMALL], [True])[0]
    redrawn, closeups = outlines.redraw(1, logits, [SMALL], [(near, near)])
    assert (redrawn > 0).any()
    assert (closeups[0, MASK] > 127).any()


def test_what_is_finer_than_the_closeup_of_a_large_object_stays(small_model: Sam2Model) -> None:
    outlines = make_tracker(small_model, OutlineRefiner().eval()).outlines
    assert outlines is not None
    logits = disc_logits(64, (80, 60), 36, SMALL)
    logits[..., 30, 20:40:2] = -9
    shown = outlines.shown([0], logits, [SMALL], [True])[0]
    assert shown is not None
    redrawn, _ = outlines.redraw(1, logits, [SMALL], [(shown, shown)])
    expected = torch.nn.functional.interpolate(logits, scale_factor=FINER, mode="bilinear")
    assert torch.equal(redrawn > 0, expected > 0)


def test_an_untaught_refiner_keeps_what_the_decoder_drew() -> None:
    closeups = torch.randint(0, 256, (2, 3, 2, SIDE, SIDE))
    drawn = OutlineRefiner().eval()(closeups)
    assert torch.equal(drawn[:, 0] > 0, closeups[:, 0, MASK] > 127)


def test_what_is_redrawn_is_remembered(small_model: Sam2Model) -> None:
    movie = squares(4)
    with_, without = (
        VideoTracker(small_model, movie, refiner=refiner) for refiner in (Shown(), None)
    )
    for tracker in (with_, without):
        tracker.add_prompt(0, 1, mask=movie[0] > 170)
        for _ in tracker.propagate():
            pass
    one, other = (tracker._objects[1].bank for tracker in (with_, without))
    assert all(m.closeup is not None for m in (one.prompted[0], *one.tracked.values()))
    assert all(m.closeup is None for m in (other.prompted[0], *other.tracked.values()))
    assert one.tracked[1].map is not None
    assert other.tracked[1].map is not None
    assert not torch.equal(one.tracked[1].map, other.tracked[1].map)


def test_how_an_object_looked_does_not_change_with_its_window(small_model: Sam2Model) -> None:
    movie = np.full((9, 96, 400), 60, np.uint8)
    for frame, picture in enumerate(movie):
        picture[40:60, 150 + 4 * frame : 170 + 4 * frame] = 220
    tracker = VideoTracker(small_model, movie, window=96, refiner=Shown())
    tracker.add_prompt(0, 1, mask=movie[0] > 170)
    bank = tracker._objects[1].bank
    shown = []
    for result in tracker.propagate():
        if result.frame:  # untaught weights do not follow it
            mask = ObjectMask.from_array(movie[result.frame] > 170)
            tracker.take(result.frame, {1: mask})
            shown.append((bank.prompted[0].window, bank.prompted[0].closeup))
    assert shown[0][0] != shown[-1][0]
    assert shown[0][1] is shown[-1][1]


def test_an_outline_is_compared_with_the_nearest_frame_and_the_nearest_prompted_one() -> None:
    def memory(frame: int, score: float = 5.0) -> Memory:
        near = torch.full((2, 1, 1), frame, dtype=torch.uint8)
        return Memory(frame, None, torch.zeros(1), SMALL, score=score, closeup=near)

    bank = MemoryBank(get_policy("sam2"))
    assert bank.closeups(3) is None
    bank.remember_prompted(memory(0))
    bank.remember_prompted(memory(9))
    bank.tracked |= {5: memory(5), 6: memory(6, score=-5.0)}
    found = bank.closeups(6)
    assert found is not None
    assert [int(each[0, 0, 0]) for each in found] == [5, 9]
    bank.prompted = {0: replace(memory(0), closeup=None)}
    assert bank.closeups(7) is None


def test_published_models_have_no_refiner() -> None:
    tiny = replace(SAM2.variants[0], image_size=64)
    assert load_outline_refiner(build_model(tiny)) is None


@pytest.mark.slow
def test_the_refiner_of_nano_brings_an_outline_nearer_to_the_truth() -> None:
    """A star, whose points are finer than a cell of the mask decoder's grid."""
    y, x = np.mgrid[:240, :320]
    truth = []
    for t in range(5):
        dx, dy = x - 120 - 4 * t, y - 110 - 2 * t
        angle = np.arctan2(dy, dx) + 0.05 * t
        truth.append(np.hypot(dx, dy) < 14 + 6 * np.cos(5 * angle))
    noise = np.random.default_rng(0).normal(0, 8, (5, 240, 320))
    movie = (40 + 120 * np.array(truth) + noise).clip(0, 255).astype(np.uint8)
    model = cached_model("nano", device="cpu")
    overlaps = []
    for refiner in (load_outline_refiner(model), None):
        tracker = VideoTracker(model, movie, refiner=refiner)
        tracker.add_prompt(0, 1, mask=truth[0])
        results = list(tracker.propagate())
        overlaps.append(
            np.mean([r.masks[1].iou_with(ObjectMask.from_array(truth[r.frame])) for r in results])
        )
    assert overlaps[0] > overlaps[1] + 0.03
