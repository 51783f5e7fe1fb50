from __future__ import annotations

import csv
import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from sam2_plugins.core.checkpoints import load_model
from sam2_plugins.core.errors import TrainingError
from sam2_plugins.core.model import Decoded, Sam2Model, build_model
from sam2_plugins.core.model.prompt_encoder import BACKGROUND, BOX_END, BOX_START, FOREGROUND
from sam2_plugins.core.variants import NANO as NANO_VARIANT
from sam2_plugins.training.batches import (
    BatchPlan,
    ClipPool,
    ClipShape,
    Material,
    Pace,
    batches,
)
from sam2_plugins.training.corrections import as_recorded, correcting_clicks
from sam2_plugins.training.initialise import initialise
from sam2_plugins.training.losses import LossWeights, prediction_loss
from sam2_plugins.training.prompting import PromptMix, box_around, click_inside, draw_prompts
from sam2_plugins.training.recipe import NANO, SEQUEL, SMOKE, STEADY, Stage
from sam2_plugins.training.rollout import _join, rollout
from sam2_plugins.training.samples import Batch, SampleSize, make_batch, with_neighbours
from sam2_plugins.training.synthetic import Clip, make_clip
from sam2_plugins.training.train import LOG_FILE, STATE_FILE, train


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def square(size: int = 32) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[8:20, 10:26] = True
    return mask


def decoded_as(logits: torch.Tensor, iou: float, score: float) -> Decoded:
    count = len(logits)
    return Decoded(
        candidates=logits,
        ious=torch.full(logits.shape[:2], iou),
        mask=logits[:, :1],
        iou=torch.full((count,), iou),
        pointer=torch.zeros(count, 4),
        object_score=torch.full((count, 1), score),
    )


def test_clicks_are_on_the_object(rng: np.random.Generator) -> None:
    mask = square()
    for _ in range(20):
        x, y = click_inside(mask, rng)
        assert mask[int(y), int(x)]


def test_a_box_is_drawn_about_the_object(rng: np.random.Generator) -> None:
    (x0, y0), (x1, y1) = box_around(square(), rng)
    assert abs(x0 - 10) < 4 and abs(y0 - 8) < 4 and abs(x1 - 25) < 4 and abs(y1 - 19) < 4


def as_logits(mask: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(mask).float()[None, None] * 20 - 10


def test_a_correction_clicks_where_the_mask_is_wrong() -> None:
    torch.manual_seed(0)
    wanted = square()
    missing = wanted.copy()
    missing[:, 18:] = False
    too_much = wanted.copy()
    too_much[24:30, 2:30] = True
    target = torch.from_numpy(wanted).float()[None]
    on_what_is_missing = on_what_is_too_much = 0
    for _ in range(40):
        points, labels = correcting_clicks(as_logits(missing), target)
        x, y = (points[0, 0] / 4).tolist()
        on_what_is_missing += x >= 18 and 8 <= y < 20
        assert int(labels[0, 0]) == (FOREGROUND if wanted[int(y), int(x)] else BACKGROUND)
        points, labels = correcting_clicks(as_logits(too_much), target)
        on_what_is_too_much += float(points[0, 0, 1]) / 4 >= 24 and int(labels) == BACKGROUND
    # Some clicks are on or beside what is right already.
    assert 25 < on_what_is_missing < 40
    assert 25 < on_what_is_too_much < 40


def test_where_nothing_is_wrong_a_click_agrees_with_the_mask() -> None:
    torch.manual_seed(0)
    wanted = square()
    for mask in (wanted, np.zeros_like(wanted)):
        target = torch.from_numpy(mask).float()[None]
        for _ in range(20):
            points, labels = correcting_clicks(as_logits(mask), target)
            x, y = (points[0, 0] / 4).long().tolist()
            assert int(labels[0, 0]) == (FOREGROUND if mask[y, x] else BACKGROUND)


def test_a_mask_comes_back_as_the_tracker_gives_it_back() -> None:
    logits = torch.full((1, 1, 16, 16), -3.0)
    logits[..., 4:12, 4:12] = 2.0
    back = as_recorded(logits, 64)
    assert float(back.min()) == -10 and float(back.max()) == 10
    assert torch.equal(back > 0, logits > 0)


def test_prompts_are_drawn_in_their_shares(rng: np.random.Generator) -> None:
    masks = np.repeat(square()[None], 40, 0)
    mix = PromptMix(click=0.25, box=0.25, mask=0.25, pointed=0.25)
    assert [len(p.objects) for p in draw_prompts(masks, mix, rng)] == [10, 10, 10, 10]


def test_what_only_a_mask_tells_is_given_as_a_mask(rng: np.random.Generator) -> None:
    masks, only = np.repeat(square()[None], 12, 0), np.arange(12) < 9
    prompts = {p.way: p for p in draw_prompts(masks, PromptMix(), rng, only)}
    assert set(range(9)) <= set(prompts["mask"].objects.tolist())
    everyone = torch.cat([p.objects for p in prompts.values()])
    assert sorted(everyone.tolist()) == list(range(12))


def test_the_right_mask_costs_less_than_a_wrong_one() -> None:
    target = torch.from_numpy(square()).float()[None]
    right = decoded_as((target[:, None] * 2 - 1) * 8, iou=1.0, score=6.0)
    wrong = decoded_as((1 - target[:, None] * 2) * 8, iou=1.0, score=6.0)
    loss_right, quality_right = prediction_loss(right, target, LossWeights(focal=1.0))
    loss_wrong, quality_wrong = prediction_loss(wrong, target, LossWeights(focal=1.0))
    assert float(loss_right) < 0.1 < float(loss_wrong)
    assert float(quality_right) == 1
    assert float(quality_wrong) == 0


def test_only_the_best_of_several_masks_learns_once_winners_take_all() -> None:
    target = torch.from_numpy(square()).float()[None]
    good, bad = (target * 2 - 1) * 8, (1 - target * 2) * 8
    logits = torch.stack((good, bad), dim=1).requires_grad_()
    loss, _ = prediction_loss(decoded_as(logits, 1.0, 6.0), target, LossWeights(winner=1.0, iou=0))
    loss.sum().backward()
    assert logits.grad is not None
    assert float(logits.grad[:, 1].abs().sum()) == 0


def test_predicted_ious_learn_to_choose_the_better_of_several_masks() -> None:
    target = torch.from_numpy(square()).float()[None]
    logits = torch.stack(((target * 2 - 1) * 8, (1 - target * 2) * 8), dim=1)
    ious = torch.tensor([[0.5, 0.5]], requires_grad=True)
    decoded = dataclasses.replace(decoded_as(logits, 0.5, 6.0), ious=ious)
    loss, _ = prediction_loss(decoded, target, LossWeights(iou=0.0, choice=1.0))
    loss.sum().backward()
    assert ious.grad is not None
    assert float(ious.grad[0, 0]) < 0 < float(ious.grad[0, 1])


def test_an_absent_object_is_asked_for_its_score_only() -> None:
    nothing = torch.zeros(1, 8, 8)
    somewhere = decoded_as(torch.full((1, 1, 8, 8), 5.0), iou=0.0, score=-6.0)
    loss, quality = prediction_loss(somewhere, nothing, LossWeights())
    assert float(loss) < 0.01
    assert float(quality) == 1


def test_a_batch_holds_fit_objects_at_the_wanted_size(rng: np.random.Generator) -> None:
    clips = [make_clip(rng, 96, 4) for _ in range(3)]
    batch = make_batch(clips, SampleSize(64, 3, 2, min_area=4), PromptMix(), rng)
    assert batch.images.shape == (3, 3, 64, 64, 3)
    assert batch.masks.shape == (3, 2, 64, 64)
    assert batch.targets.shape == (3, 2, 3, 16, 16)
    assert batch.masks.flatten(2).any(-1).all()


def test_objects_that_touch_another_are_told_from_those_alone() -> None:
    labels = np.zeros((32, 32), np.uint8)
    labels[2:10, 2:6], labels[2:10, 7:11], labels[20:28, 20:28] = 1, 2, 3
    assert with_neighbours(labels, [1, 2, 3]) == [1, 2]
    assert with_neighbours(labels, [2, 3]) == [2]


def one_square_clip() -> Clip:
    """A square of 20 pixels off the middle of a frame of 120, on noise."""
    frames = np.random.default_rng(1).integers(0, 255, (2, 120, 120, 3)).astype(np.uint8)
    labels = np.zeros((2, 120, 120), np.uint8)
    labels[:, 20:40, 70:90] = 1
    return Clip(frames, labels, "squares", {})


def test_a_centred_sample_shows_its_object_whole_and_close(rng: np.random.Generator) -> None:
    size = SampleSize(64, 1, 1, min_area=1, closest=0.1, centred=1.0)
    batch = make_batch([one_square_clip()] * 20, size, PromptMix(), rng)
    shares = batch.masks[:, 0].float().mean((1, 2))
    # A seventh of the side at the least, and a little more than two thirds at the most.
    assert float(shares.min()) > 0.9 / 49 and float(shares.max()) < 1.1 / 1.96
    assert float(shares.max()) > 4 * float(shares.min())


def test_a_softened_sample_has_no_fine_detail(rng: np.random.Generator) -> None:
    def roughness(soften: float) -> float:
        size = SampleSize(64, 1, 1, min_area=1, soften=soften)
        images = make_batch(
            [one_square_clip()] * 10, size, PromptMix(), np.random.default_rng(0)
        ).images
        return float(images.float().diff(dim=3).abs().mean())

    assert roughness(1.0) < 0.6 * roughness(0.0)


def test_the_pool_gives_clips_that_are_long_enough(rng: np.random.Generator) -> None:
    pool = ClipPool(2, [ClipShape(48, 3), ClipShape(64, 1)], rng, warm_up=8)
    assert {len(clip.frames) for clip in pool.draw(20, 1)} == {1, 3}
    assert {len(clip.frames) for clip in pool.draw(20, 2)} == {3}


def test_single_frames_are_of_clips_that_a_click_can_tell(rng: np.random.Generator) -> None:
    pool = ClipPool(30, [ClipShape(48, 3)], rng, warm_up=40)
    assert "region" in {clip.kind for clip in pool.draw(60, 2)}
    assert "region" not in {clip.kind for clip in pool.draw(60, 1)}


SMALL = Material([ClipShape(64, 4)], capacity=4, held_out=0)
HERE = Pace(workers=0)
"""Batches are made in this process, without the seconds that another takes to start."""


@pytest.mark.slow
def test_batches_come_from_workers_in_the_order_of_their_steps() -> None:
    plan = BatchPlan(SMOKE, SMALL, first=5)
    frames = [
        batch.images.shape[1]
        for _, (_, batch) in zip(range(4), batches(plan.made, 2, torch.device("cpu")), strict=False)
    ]
    # The first stage, of single frames, ends with step 5.
    assert frames == [1, 3, 3, 3]


@pytest.mark.slow
def test_what_fails_without_workers_is_no_process_that_has_ended() -> None:
    def made(worker: int, workers: int) -> Iterator[int]:
        raise FileNotFoundError(2, "No such file or directory", "movie.tif")
        yield worker

    with pytest.raises(FileNotFoundError, match=r"movie\.tif"):
        next(batches(made, 0, torch.device("cpu")))


def test_a_worker_that_dies_stops_the_training() -> None:
    plan = BatchPlan(SMOKE, SMALL)
    found = batches(plan.made, 1, torch.device("cpu"))
    next(found)
    for worker in psutil.Process().children():
        if "spawn_main" in " ".join(worker.cmdline()):
            worker.kill()
    with pytest.raises(TrainingError, match=r"has ended.*--resume"):
        for _ in range(6):
            next(found)


@pytest.mark.slow
def test_a_training_by_the_clock_ends_at_a_low_rate(tmp_path: Path) -> None:
    pace = Pace(workers=0, minutes=0.03)
    rows: list[dict[str, float]] = []
    train(
        NANO_VARIANT,
        dataclasses.replace(SMOKE, stages=SMOKE.stages[:1]),
        tmp_path,
        pace=pace,
        material=SMALL,
        on_log=lambda row, done: rows.append(row),
    )
    assert rows[-1]["rate"] < SMOKE.peak_rate
    assert (tmp_path / STATE_FILE).exists()
    assert list(tmp_path.glob("minute-*.safetensors"))


def test_the_rate_falls_with_what_is_done_of_the_training() -> None:
    rates = [SEQUEL.rate(1000, done) for done in (0.0, 0.5, 0.9, 0.999)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == SEQUEL.peak_rate and rates[-1] < 0.01 * SEQUEL.peak_rate
    assert SEQUEL.rate(0, 0.0) < 0.1 * SEQUEL.peak_rate


@pytest.mark.slow
def test_scores_of_clips_that_are_never_learned_are_logged(tmp_path: Path) -> None:
    still = dataclasses.replace(SMOKE, stages=(Stage(1, SMOKE.stages[0].tasks),))
    rows: list[dict[str, float]] = []
    material = dataclasses.replace(SMALL, held_out=1)
    train(
        NANO_VARIANT,
        still,
        tmp_path,
        pace=HERE,
        material=material,
        on_log=lambda row, done: rows.append(row),
    )
    assert 0 <= rows[-1]["held_last"] <= 1


def test_training_begins_with_the_weights_that_it_is_given(tmp_path: Path) -> None:
    start = build_model(NANO_VARIANT).state_dict()
    still = dataclasses.replace(SMOKE, stages=SMOKE.stages[:1], peak_rate=0.0)
    model = train(NANO_VARIANT, still, tmp_path, start=start, pace=HERE, material=SMALL)
    for name, weight in model.state_dict().items():
        assert torch.allclose(weight, start[name], atol=1e-6), name


def test_where_the_memory_alone_learns_a_first_frame_is_answered_as_before(tmp_path: Path) -> None:
    start = {k: v.clone() for k, v in load_model("nano", "cpu").state_dict().items()}
    stages = (Stage(2, SMOKE.stages[1].tasks),)
    steady = dataclasses.replace(STEADY, stages=stages, ema=0.0)
    model = train(NANO_VARIANT, steady, tmp_path, start=start, pace=HERE, material=SMALL)
    moved = {k.split(".")[0] for k, v in model.state_dict().items() if not torch.equal(v, start[k])}
    assert {"memory_attention", "memory_encoder", "obj_ptr_proj"} <= moved
    assert not moved & {"image_encoder", "sam_mask_decoder", "sam_prompt_encoder", "no_mem_embed"}


@pytest.fixture
def model() -> Sam2Model:
    """Weights are random."""
    return build_model(dataclasses.replace(NANO_VARIANT, image_size=64))


CLICK = PromptMix(click=1, box=0, mask=0, correction=0)


def one_object(rng: np.random.Generator, mix: PromptMix = CLICK) -> Batch:
    """One object on one frame."""
    clip = make_clip(rng, 64, 1, "fluorescence")
    return make_batch([clip], SampleSize(64, 1, 1, min_area=4), mix, rng)


def test_a_click_can_be_learned_by_heart(model: Sam2Model, rng: np.random.Generator) -> None:
    torch.manual_seed(0)
    initialise(model)
    model.train()
    batch = one_object(rng)
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)
    losses = []
    for _ in range(25):
        result = rollout(model, batch, CLICK, LossWeights(winner=0.0), rng)
        optimiser.zero_grad()
        result.loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(result.loss.detach()))
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.slow
def test_training_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    half = dataclasses.replace(SMOKE, stages=SMOKE.stages[:1])
    train(NANO_VARIANT, half, tmp_path, pace=HERE, material=SMALL)
    model = train(NANO_VARIANT, SMOKE, tmp_path, pace=HERE, material=SMALL)
    steps = [int(float(row["step"])) for row in csv.DictReader((tmp_path / LOG_FILE).open())]
    assert steps == [6, 12]
    kept = torch.load(tmp_path / STATE_FILE, weights_only=True)["average"]
    assert all(torch.equal(weight, kept[name]) for name, weight in model.state_dict().items())


def test_the_recipe_runs_forward_in_steps() -> None:
    for recipe in (NANO, SEQUEL, SMOKE):
        ends = [stage.until for stage in recipe.stages]
        assert ends == sorted(set(ends))
        assert all(task.sample.size % 32 == 0 for s in recipe.stages for task in s.tasks)


@pytest.mark.slow
def test_a_run_that_goes_on_begins_with_the_weights_it_had(tmp_path: Path) -> None:
    half = dataclasses.replace(SMOKE, stages=SMOKE.stages[:1])
    train(NANO_VARIANT, half, tmp_path, pace=HERE, material=SMALL)
    before = torch.load(tmp_path / STATE_FILE, weights_only=True)
    # Nothing is learned at a rate of 0, so what the second run saves is what it began with.
    still = dataclasses.replace(SMOKE, peak_rate=0.0)
    train(NANO_VARIANT, still, tmp_path, seed=1, pace=HERE, material=SMALL)
    after = torch.load(tmp_path / STATE_FILE, weights_only=True)
    assert (before["step"], after["step"]) == (6, 12)
    for name, weight in before["model"].items():
        assert torch.equal(weight, after["model"][name]), name


@pytest.mark.slow
def test_averaged_weights_follow_the_trained_ones(tmp_path: Path) -> None:
    recipe = dataclasses.replace(SMOKE, stages=SMOKE.stages[:1], ema=0.0)
    train(NANO_VARIANT, recipe, tmp_path, pace=HERE, material=SMALL)
    state = torch.load(tmp_path / STATE_FILE, weights_only=True)
    for name, parameter in build_model(NANO_VARIANT).named_parameters():
        assert torch.equal(state["average"][name], state["model"][name]), name
        assert parameter.shape == state["model"][name].shape


def arguments_of(model: Sam2Model, name: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a method of a model is given, call by call."""
    given: list[Any] = []
    method = getattr(model, name)

    def spy(*args: Any, **kwargs: Any) -> Any:
        given.append(args)
        return method(*args, **kwargs)

    monkeypatch.setattr(model, name, spy)
    return given


@pytest.mark.parametrize(("share", "prompted"), [(0.0, [True, False]), (1.0, [True, True])])
def test_a_corrected_frame_is_remembered_as_a_prompted_one(
    model: Sam2Model,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    share: float,
    prompted: list[bool],
) -> None:
    remembered = arguments_of(model, "encode_memory", monkeypatch)
    clip = make_clip(rng, 64, 3, "fluorescence")
    batch = make_batch([clip], SampleSize(64, 3, 1, min_area=4), PromptMix(), rng)
    rollout(model, batch, PromptMix(correction=share), LossWeights(), rng)
    assert [given[3] for given in remembered] == prompted


@pytest.mark.parametrize(
    ("way", "labels"),
    [
        ("click", [FOREGROUND]),
        ("box", [BOX_START, BOX_END]),
        ("pointed", [BOX_START, BOX_END, FOREGROUND]),
    ],
)
def test_each_way_to_prompt_is_encoded_as_the_tracker_encodes_it(
    model: Sam2Model,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    labels: list[int],
) -> None:
    said = arguments_of(model, "decode", monkeypatch)
    only = dict.fromkeys(("click", "box", "mask", "pointed", "correction"), 0.0) | {way: 1.0}
    mix = PromptMix(**only)
    batch = one_object(rng, mix)
    rollout(model, batch, mix, LossWeights(), rng)
    ((_, _, points, given),) = said
    assert given[0].tolist() == labels
    rows, columns = np.nonzero(batch.masks[0, 0].numpy())
    inside = points[0][given[0] == FOREGROUND].tolist()
    assert all((x, y) in zip(columns, rows, strict=True) for x, y in inside)
    if way != "click":
        (x0, y0), (x1, y1) = points[0][:2].tolist()
        assert (x0 + x1) / 2 == pytest.approx((columns.min() + columns.max()) / 2, abs=8)
        assert (y0 + y1) / 2 == pytest.approx((rows.min() + rows.max()) / 2, abs=8)


@pytest.mark.parametrize(("share", "clicks"), [(0.0, [1]), (1.0, [1, 2, 3])])
def test_a_first_frame_is_corrected_click_by_click(
    model: Sam2Model,
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
    share: float,
    clicks: list[int],
) -> None:
    said = arguments_of(model, "decode", monkeypatch)
    mix = PromptMix(click=1, box=0, mask=0, correction=share)
    batch = one_object(rng, mix)
    rollout(model, batch, mix, LossWeights(), rng)
    assert [given[3].shape[1] for given in said] == clicks


def test_objects_prompted_in_different_ways_come_back_in_their_order() -> None:
    def of(*objects: int) -> Decoded:
        values = torch.tensor(objects, dtype=torch.float32)
        return Decoded(
            candidates=values.view(-1, 1, 1, 1),
            ious=values[:, None],
            mask=values.view(-1, 1, 1, 1),
            iou=values,
            pointer=values[:, None],
            object_score=values[:, None],
        )

    groups = ([1, 3], [0], [2])
    joined = _join((torch.tensor(group), of(*group)) for group in groups)
    for part in (joined.mask, joined.iou, joined.pointer, joined.object_score):
        assert part.flatten().tolist() == [0, 1, 2, 3]


_TRAINING = """
import os, psutil, time
import torch
from sam2_plugins.training.batches import BatchPlan, ClipShape, Material, batches
from sam2_plugins.training.recipe import SMOKE

if __name__ == "__main__":
    found = batches(BatchPlan(SMOKE, Material([ClipShape(96, 4)])).made, 1, torch.device("cpu"))
    next(found)
    workers = [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]
    print(workers[0].pid, flush=True)
    time.sleep(4)  # until batches wait to be taken
    os.kill(os.getpid(), 9)
"""


@pytest.mark.slow
def test_a_killed_training_leaves_no_process_behind(tmp_path: Path) -> None:
    script = tmp_path / "training.py"
    script.write_text(_TRAINING)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as training:
        assert training.stdout is not None
        maker = psutil.Process(int(training.stdout.readline()))
        try:
            maker.wait(timeout=30)
        finally:
            if maker.is_running():
                maker.kill()
    assert not psutil.pid_exists(maker.pid)
