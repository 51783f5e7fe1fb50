from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.model import OutlineRefiner
from sam2_plugins.core.model.outline_refiner import MASK, SIDE
from sam2_plugins.training.outline_refiner import Lessons, _loosened, learn, loss_of, main, record


def made_up(count: int) -> Lessons:
    """Lessons of discs in the light, whose masks are too large."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    lessons = Lessons()
    for _ in range(count):
        radius = rng.uniform(10, 18)
        distance = np.hypot(x - SIDE / 2, y - SIDE / 2)
        disc, wide = (255.0 * (distance < r) for r in (radius, radius + 5))
        picture = 60 + 0.4 * disc
        closeups = np.stack([(picture, wide), (picture, disc), (picture, disc)])
        lessons.add(torch.from_numpy(closeups), torch.from_numpy(disc))
    return lessons


def test_outlines_drawn_further_out_never_reach_into_another_object() -> None:
    labels = np.zeros((2, 40, 60), np.uint8)
    labels[:, 10:30, 10:30], labels[:, 10:30, 30:50] = 1, 2
    areas = []
    for seed in range(12):
        loose = _loosened(labels, np.random.default_rng(seed))
        both = (labels > 0) & (loose > 0)
        assert np.array_equal(loose[both], labels[both])
        areas.append(int((loose[0] > 0).sum()))
    assert min(areas) < 800 < max(areas)


def test_lessons_are_turned_and_mirrored_together_with_the_truth() -> None:
    lessons = Lessons()
    corner = torch.zeros(SIDE, SIDE)
    corner[: SIDE // 4, : SIDE // 3] = 255
    lessons.add(corner.expand(3, 2, SIDE, SIDE), corner)
    rng, seen = np.random.default_rng(0), set()
    for _ in range(30):
        closeups, truth = lessons.draw(1, rng)
        assert torch.equal(closeups[0, 0, MASK] / 255, truth[0])
        seen.add(tuple(int(n) for n in truth[0].nonzero()[0]))
    assert len(seen) > 4


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_what_is_learned_is_written(
    share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    start, out = OutlineRefiner().state_dict(), tmp_path / "out.safetensors"
    save_file(start, tmp_path / "start.safetensors")
    options = {"--start": tmp_path / "start.safetensors", "--share": share}
    options |= {"--rounds": 1, "--minutes": 0.03}
    argv = [str(part) for option in options.items() for part in option]
    monkeypatch.setattr("sys.argv", ["outline_refiner", str(out), *argv])
    main()
    written = load_file(out)
    kept = all(torch.equal(written[name], start[name]) for name in start)
    assert kept == (share == 0)


@pytest.mark.slow
def test_learning_brings_outlines_nearer_to_the_truth() -> None:
    torch.manual_seed(0)
    lessons, refiner = made_up(16), OutlineRefiner()
    closeups, truth = lessons.draw(16, np.random.default_rng(1))
    before = float(loss_of(refiner(closeups), truth).detach())
    learn(refiner, lessons, 0.1, 2e-3, np.random.default_rng(2), batch=8)
    with torch.no_grad():
        assert float(loss_of(refiner(closeups), truth)) < before


@pytest.mark.slow
def test_what_nano_tracked_is_recorded_with_the_truth_in_the_same_place() -> None:
    model, rng = cached_model("nano", device="cpu"), np.random.default_rng(1)
    recorded = [lesson for _ in range(2) for lesson in record(model, OutlineRefiner().eval(), rng)]
    assert recorded
    overlaps = []
    for closeups, truth in recorded:
        assert closeups.shape == (3, 2, SIDE, SIDE)
        found, true = closeups[0, MASK] > 127, truth > 127
        overlaps.append(float((found & true).sum() / (found | true).sum()))
    assert np.mean(overlaps) > 0.6
