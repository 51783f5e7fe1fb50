from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sam2_plugins.core import VideoTracker, load_model, open_frames
from sam2_plugins.core.checkpoints import read_card
from sam2_plugins.core.errors import ExportError, ModelError, TrainingError
from sam2_plugins.core.model import Sam2Model, build_model
from sam2_plugins.core.variants import get_variant
from sam2_plugins.training.batches import batches
from sam2_plugins.training.finetuning import (
    STATE_FILE,
    AnnotatedMovie,
    Budget,
    Look,
    Parts,
    Settings,
    finetune,
    loop,
    mean_j,
    memory_budget,
    split_movies,
)
from sam2_plugins.training.finetuning.clips import ClipCutter
from sam2_plugins.training.finetuning.score import Scores, is_better
from sam2_plugins.training.losses import LossWeights
from sam2_plugins.training.parts import choose_parts
from sam2_plugins.training.prompting import PromptMix
from sam2_plugins.training.rollout import rollout
from sam2_plugins.training.samples import SampleSize, make_batch

from .conftest import discs, two_toned

QUICK = Settings(steps=4, check_every=2, clips=1, frames=2, objects=2)


def test_parts_may_be_named_by_a_text() -> None:
    assert Settings(parts="decoder").parts is Parts.decoder  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'everything' is not a valid Parts"):
        Settings(parts="everything")  # type: ignore[arg-type]


@pytest.fixture
def nano() -> Sam2Model:
    torch.set_num_threads(1)
    return load_model("nano", "cpu", image_size=64)


@pytest.mark.slow
def test_what_is_held_out_is_judged_before_and_after(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path
) -> None:
    split = split_movies([movie])
    before = mean_j(nano, split.held_out)
    settings = dataclasses.replace(QUICK, steps=2)
    report = finetune(nano, split, tmp_path / "mine.safetensors", settings)
    assert report.before == before
    assert report.best_step == 0 or report.after == pytest.approx(mean_j(nano, split.held_out))


def _judged(monkeypatch: pytest.MonkeyPatch, stop: list[float], held_out: list[float]) -> None:
    """Replace what looking costs by scores that are given: training itself is real."""
    split = {"stop": iter(stop), "held_out": iter(held_out)}
    first: list[object] = []

    def judge(model: Sam2Model, movies: tuple[AnnotatedMovie, ...]) -> dict[str, float]:
        first[:] = first or [movies]
        return {"mask": next(split["held_out" if movies is first[0] else "stop"])}

    monkeypatch.setattr(loop, "mean_j", judge)


def test_a_better_model_is_saved_with_its_card_and_loads_by_path(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _judged(monkeypatch, stop=[0.5, 0.7, 0.6], held_out=[0.4, 0.45])
    before = {name: weight.clone() for name, weight in nano.state_dict().items()}
    out = tmp_path / "mine.pt"
    report = finetune(nano, split_movies([movie]), out, QUICK, card={"cells": "discs"})
    assert report.better and report.path == out and report.best_step == 2
    card = read_card(out)
    assert (card["held_out_j_before"], card["held_out_j_after"]) == ("mask 0.400", "mask 0.450")
    assert card["cells"] == "discs" and "discs" in card["trained_on"]
    mine = load_model(out, "cpu")
    assert mine.image_size == 64
    changed = [n for n, weight in mine.state_dict().items() if not torch.equal(weight, before[n])]
    assert changed
    with open_frames(movie.source) as frames:
        tracker = VideoTracker(mine, frames)
        tracker.add_prompt(0, 1, points=[(20, 30)])
        assert len(list(tracker.propagate())) == 8


def test_a_model_that_is_worse_on_what_is_held_out_is_not_saved(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _judged(monkeypatch, stop=[0.5, 0.7, 0.6], held_out=[0.4, 0.39])
    report = finetune(nano, split_movies([movie]), tmp_path / "mine.pt", QUICK)
    assert not report.better and not (tmp_path / "mine.pt").exists()


def test_a_gain_that_costs_another_way_to_prompt_too_much_is_none() -> None:
    before: Scores = {"mask": 0.6, "click": 0.5}
    assert is_better(before, {"mask": 0.7, "click": 0.49})
    assert not is_better(before, {"mask": 0.7, "click": 0.45})
    assert not is_better(before, {"mask": 0.6, "click": 0.5})


def test_a_model_that_never_got_better_is_left_as_it_was(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _judged(monkeypatch, stop=[0.5, 0.4, 0.5], held_out=[0.4])
    before = {name: weight.clone() for name, weight in nano.state_dict().items()}
    report = finetune(nano, split_movies([movie]), tmp_path / "mine.pt", QUICK)
    assert report.best_step == 0 and not report.better and report.after == report.before
    assert all(torch.equal(weight, before[n]) for n, weight in nano.state_dict().items())


def test_training_stops_once_there_is_no_gain(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _judged(monkeypatch, stop=[0.5, 0.6, 0.5, 0.55], held_out=[0.4, 0.5])
    settings = dataclasses.replace(QUICK, steps=50, check_every=1, patience=2)
    report = finetune(nano, split_movies([movie]), tmp_path / "mine.pt", settings)
    assert [look.step for look in report.looks] == [0, 1, 2, 3]
    assert report.best_step == 1


@pytest.mark.parametrize(
    ("parts", "moved", "still"),
    [
        (Parts.decoder, ["sam_mask_decoder"], ["memory_attention", "memory_encoder", "image_"]),
        (Parts.memory_alone, ["memory_attention", "memory_encoder"], ["image_", "sam_", "no_mem"]),
        (Parts.memory, ["sam_mask_decoder", "memory_attention", "memory_encoder"], ["image_"]),
        (Parts.all, ["sam_mask_decoder", "memory_attention", "memory_encoder", "image_"], []),
    ],
)
def test_only_the_chosen_parts_change(
    nano: Sam2Model,
    movie: AnnotatedMovie,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    parts: Parts,
    moved: list[str],
    still: list[str],
) -> None:
    _judged(monkeypatch, stop=[0.5, 0.6], held_out=[0.4, 0.5])
    before = {name: weight.clone() for name, weight in nano.state_dict().items()}
    settings = dataclasses.replace(QUICK, steps=2, parts=parts)
    finetune(nano, split_movies([movie]), tmp_path / "mine.pt", settings)
    after = nano.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    for part in moved:
        assert any(name.startswith(part) for name in changed), part
    for part in still:
        assert not any(name.startswith(part) for name in changed), part


def test_single_frames_do_not_teach_the_memory(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path
) -> None:
    settings = dataclasses.replace(QUICK, frames=1, parts=Parts.memory_alone)
    with pytest.raises(TrainingError, match="more --frames or other --parts"):
        finetune(nano, split_movies([movie]), tmp_path / "mine.pt", settings)


def test_a_run_that_reads_its_movies_in_another_way_is_another(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _judged(monkeypatch, stop=[0.5, 0.6, 0.6, 0.6], held_out=[0.4, 0.5, 0.5, 0.5])
    settings = dataclasses.replace(QUICK, steps=2)
    plain = dataclasses.replace(movie, reading={"limits": None})
    weights = {name: value.clone() for name, value in nano.state_dict().items()}
    finetune(nano, split_movies([plain]), tmp_path / "mine.pt", settings)
    nano.load_state_dict(weights)
    finetune(nano, split_movies([movie]), tmp_path / "mine.pt", settings)
    nano.load_state_dict(weights)
    darker = dataclasses.replace(movie, reading={"limits": (0, 900)})
    with pytest.raises(TrainingError, match="another model, other masks or settings"):
        finetune(nano, split_movies([darker]), tmp_path / "mine.pt", settings)


def test_another_run_is_not_gone_on_with(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _judged(monkeypatch, stop=[0.5, 0.6], held_out=[0.4, 0.5])
    settings = dataclasses.replace(QUICK, steps=2)
    finetune(nano, split_movies([movie]), tmp_path / "mine.pt", settings)
    other = dataclasses.replace(settings, rate=1e-3)
    with pytest.raises(TrainingError, match="another model, other masks or settings"):
        finetune(nano, split_movies([movie]), tmp_path / "mine.pt", other)


def test_a_damaged_state_is_named(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.run").mkdir()
    (tmp_path / "mine.run" / "state.pt").write_bytes(b"PK")
    with pytest.raises(TrainingError, match=r"state\.pt is damaged"):
        finetune(nano, split_movies([movie]), tmp_path / "mine.pt", QUICK)


@pytest.mark.slow
def test_on_a_full_disk_the_last_look_is_kept_and_the_run_goes_on(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, out, save = split_movies([movie]), tmp_path / "mine.pt", torch.save
    state = tmp_path / "mine.run" / STATE_FILE
    _judged(monkeypatch, stop=[0.5, 0.6, 0.6, 0.5], held_out=[0.4, 0.5])

    def on_a_full_disk(value: object, path: Path) -> None:
        if not state.exists():
            save(value, path)
            return
        path.write_bytes(b"PK")
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    monkeypatch.setattr(torch, "save", on_a_full_disk)
    with pytest.raises(ExportError, match=r"mine\.run/state\.pt cannot be written: the disk is"):
        finetune(nano, split, out, QUICK)
    assert [path.name for path in state.parent.iterdir()] == [STATE_FILE]
    monkeypatch.setattr(torch, "save", save)
    looks: list[int] = []
    fresh = load_model("nano", "cpu", image_size=64)
    finetune(fresh, split, out, QUICK, on_look=lambda look: looks.append(look.step))
    assert looks == [0, 2, 4]


@pytest.mark.parametrize("name", ["mine", "mine.pth", "mine.v2"])
def test_a_name_that_is_none_of_a_model_is_refused_before_any_work(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path, name: str
) -> None:
    with pytest.raises(ModelError, match=rf"\.safetensors or \.pt: rename '{name}'"):
        finetune(nano, split_movies([movie]), tmp_path / name, QUICK)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_samples_are_the_same_whichever_process_makes_them(
    movie: AnnotatedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = []
    for workers in (0, 2):
        _judged(monkeypatch, stop=[0.5, 0.6, 0.7], held_out=[0.4, 0.5])
        model, split = load_model("nano", "cpu", image_size=64), split_movies([movie])
        finetune(model, split, tmp_path / f"{workers}.pt", QUICK, workers=workers)
        states.append(model.state_dict())
    assert all(torch.equal(weight, states[1][name]) for name, weight in states[0].items())


@pytest.mark.slow
def test_a_movie_that_a_worker_cannot_read_is_named_as_ever(movie: AnnotatedMovie) -> None:
    longer = dataclasses.replace(movie, masks={**movie.masks, 99: movie.masks[0]})
    plan = loop._Plan((longer,), QUICK, 64, frames=2, first=0)
    with pytest.raises(TrainingError, match=r"^discs: frame 99 has masks, but the movie ends"):
        next(batches(plan.made, 1, torch.device("cpu")))


class _Fetched(TorchDispatchMode):
    """Counts the numbers that are fetched from tensors."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_no_step_waits_for_a_number_from_the_device(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _judged(monkeypatch, stop=[0.5, 0.6], held_out=[0.4, 0.5])
    # On a processor it counts its steps in tensors, which fused on a graphics card it does not.
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: None)
    counts = []
    settings = dataclasses.replace(QUICK, steps=4, check_every=4)
    with _Fetched() as fetched:
        finetune(
            nano,
            split_movies([movie]),
            tmp_path / "mine.pt",
            settings,
            on_step=lambda done, loss: counts.append(fetched.count),
        )
    assert len(set(counts[:3])) == 1


RUN = """
import sys, torch
import numpy as np
from sam2_plugins.core import load_model
from sam2_plugins.training.finetuning import *
torch.set_num_threads(1)
if __name__ == "__main__":
    data = np.load(sys.argv[1])
    movie = AnnotatedMovie.from_labels("discs", data["frames"], data["labels"])
    settings = Settings(steps=8, check_every=2, clips=1, frames=2, objects=2, patience=9)
    model = load_model("nano", "cpu", image_size=64)
    finetune(
        model, split_movies([movie]), sys.argv[2], settings,
        on_look=lambda look: print("look", look.step, flush=True),
    )
    torch.save(model.state_dict(), sys.argv[2] + ".end")
"""


@pytest.mark.slow
def test_a_killed_run_ends_as_it_would_have(tmp_path: Path) -> None:
    frames, labels = discs()
    np.savez(tmp_path / "data.npz", frames=frames, labels=labels)
    (tmp_path / "run.py").write_text(RUN)

    def start(out: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(tmp_path / "run.py"), str(tmp_path / "data.npz")]
        return subprocess.Popen(
            [*command, str(tmp_path / out)], stdout=subprocess.PIPE, text=True, env={**os.environ}
        )

    whole = start("whole.pt")
    assert whole.communicate(timeout=250)[0].split("\n")[0] == "look 0"
    killed = start("killed.pt")
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.strip() == "look 4":
            os.kill(killed.pid, signal.SIGKILL)
            break
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert not (tmp_path / "killed.pt.end").exists()
    again = start("killed.pt")
    looks = again.communicate(timeout=250)[0].split("\n")
    assert looks[0] in ("look 4", "look 6")
    one = torch.load(tmp_path / "whole.pt.end", weights_only=True)
    other = torch.load(tmp_path / "killed.pt.end", weights_only=True)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
def test_the_memory_of_a_step_stays_within_what_was_told(
    nano: Sam2Model, movie: AnnotatedMovie
) -> None:
    rng = np.random.default_rng(0)
    cutter = ClipCutter([movie], 64)
    for parts in Parts:
        choose_parts(nano, parts)
        budget = memory_budget(nano, clips=2, frames=4, objects=3)
        kept: dict[int, int] = {p.data_ptr(): 0 for p in nano.parameters()}
        held = []

        def pack(tensor: torch.Tensor, kept=kept, held=held) -> torch.Tensor:  # type: ignore[no-untyped-def]
            storage = tensor.untyped_storage()
            kept.setdefault(storage.data_ptr(), storage.nbytes())
            held.append(storage)
            return tensor

        batch = make_batch(
            cutter.draw(2, 4, rng), SampleSize(64, 4, 3, min_area=4), PromptMix(), rng
        )
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            rollout(nano, batch, PromptMix(correction=1.0), LossWeights(focal=1.0), rng)
        needed = sum(kept.values())
        assert needed <= budget.activations < 6 * needed, parts
    cutter.close()


def test_the_memory_is_told_before_anything_is_done(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path
) -> None:
    told: list[Budget] = []

    class Enough(Exception):
        pass

    def stop(look: Look) -> None:
        raise Enough

    with pytest.raises(Enough):
        finetune(
            nano,
            split_movies([movie]),
            tmp_path / "mine.pt",
            QUICK,
            on_budget=told.append,
            on_look=stop,
        )
    assert "MB" in str(told[0]) and told[0].total > 0


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_published_architecture_is_fine_tuned(
    movie: AnnotatedMovie, tmp_path: Path, precision: str
) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = build_model(get_variant("sam2.1-tiny"), 256)
    before = model.sam_mask_decoder.mask_tokens.weight.detach().clone()
    settings = dataclasses.replace(QUICK, steps=2, parts=Parts.memory, precision=precision)
    split = split_movies([movie])
    looks: list[Look] = []
    report = finetune(model, split, tmp_path / "mine.safetensors", settings, on_look=looks.append)
    assert looks[-1].step == 2 and np.isfinite(looks[-1].loss)
    state = torch.load(tmp_path / "mine.run" / "state.pt", weights_only=True)
    assert not torch.equal(state["model"]["sam_mask_decoder.mask_tokens.weight"], before)
    if report.better:
        assert load_model(tmp_path / "mine.safetensors", "cpu").variant.name == "sam2.1-tiny"


@pytest.mark.slow
def test_what_was_learned_is_found_better_from_a_click(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    movies = [AnnotatedMovie.from_labels(f"m{i}", *two_toned(seed=i)) for i in range(3)]
    split = split_movies(movies)
    settings = Settings(steps=20, check_every=10, clips=2, frames=3, objects=2, rate=2e-4)
    model = load_model("nano", "cpu", image_size=96)
    report = finetune(model, split, tmp_path / "mine.safetensors", settings)
    assert report.better
    assert report.after["click"] > report.before["click"] + 0.03


def test_an_object_is_judged_from_the_frame_on_which_it_appears(nano: Sam2Model) -> None:
    frames, labels = discs(6)
    labels[:3][labels[:3] == 2] = 0
    movie = AnnotatedMovie.from_labels("late", frames, labels)
    scores = mean_j(nano, [movie], ["mask"])
    assert scores.keys() == {"mask"} and 0 < scores["mask"] <= 1


def test_images_are_judged_by_clicks_and_boxes_alone(nano: Sam2Model) -> None:
    frames, labels = discs(1)
    movie = AnnotatedMovie.from_labels("image", frames, labels)
    scores = mean_j(nano, [movie])
    assert scores.keys() == {"click", "box"}


@pytest.mark.slow
def test_a_run_that_is_done_is_not_done_again(
    nano: Sam2Model, movie: AnnotatedMovie, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _judged(monkeypatch, stop=[0.5, 0.6, 0.7], held_out=[0.4, 0.5, 0.5])
    split = split_movies([movie])
    finetune(nano, split, tmp_path / "mine.pt", QUICK)
    steps: list[int] = []
    fresh = load_model("nano", "cpu", image_size=64)
    again = finetune(
        fresh, split, tmp_path / "mine.pt", QUICK, on_step=lambda done, _: steps.append(done)
    )
    assert steps == [] and again.before == {"mask": 0.4}
