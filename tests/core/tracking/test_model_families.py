"""Every family is tracked with like SAM 2. Weights are seeded, so masks are of no object."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sam2_plugins.core.model import Sam2Model, build_model
from sam2_plugins.core.tracking.image_segmenter import ImageSegmenter
from sam2_plugins.core.tracking.memory.policies import policies
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.core.variants import get_variant
from tests.core.conftest import squares
from tests.reference.fast_weights import seeded_state

pytestmark = pytest.mark.slow


FIRST, SECOND = (10, 20, 26, 36), (60, 10, 76, 26)


@pytest.fixture(scope="module", params=["edgetam", "efficienttam-ti-1"])
def model(request: pytest.FixtureRequest) -> Sam2Model:
    model = build_model(get_variant(request.param), 256)
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    model.load_state_dict(seeded_state(shapes))
    return model.eval()


@pytest.fixture(scope="module")
def movie() -> np.ndarray:
    return squares(6)


def logits(model: Sam2Model, movie: np.ndarray, objects_at_once: int) -> list[torch.Tensor]:
    """Three objects, one of which is prompted later."""
    tracker = VideoTracker(
        model, movie, window=None, objects_at_once=objects_at_once, keep_logits=True
    )
    tracker.add_prompt(0, "a", box=FIRST)
    tracker.add_prompt(0, "b", box=SECOND)
    tracker.add_prompt(1, "c", points=[(40, 40)])
    found = [result.logits for result in tracker.propagate(stop=3)]
    assert [set(one) for one in found] == [{"a", "b"}, *[{"a", "b", "c"}] * 3]
    return [one[name] for one in found for name in sorted(one)]


def test_objects_are_tracked_together_as_alone(model: Sam2Model, movie: np.ndarray) -> None:
    # The first tracked frame: on random weights later ones are chaotic.
    together, alone = (logits(model, movie, count)[2:4] for count in (8, 1))
    for one, other in zip(together, alone, strict=True):
        assert ((one > 0) == (other > 0)).float().mean() > 0.95


def test_a_correction_and_a_new_object_are_taken_while_tracking(
    model: Sam2Model, movie: np.ndarray
) -> None:
    tracker = VideoTracker(model, movie, window=None)
    tracker.add_prompt(0, "a", box=FIRST)
    before = [result.masks["a"] for result in tracker.propagate()]
    tracker.add_prompt(3, "a", points=[(80, 80)], labels=[0])
    tracker.add_prompt(2, "b", mask=np.pad(np.ones((16, 16), bool), ((10, 70), (60, 20))))
    for _ in tracker.propagate(direction="both"):
        pass
    after = tracker.masklets()
    assert sorted(after["a"].masks) == sorted(after["b"].masks) == list(range(6))
    assert [after["a"].masks[frame] for frame in (3, 4, 5)] != before[3:]


@pytest.mark.parametrize("policy", policies())
def test_every_memory_policy_serves_every_family(
    model: Sam2Model, movie: np.ndarray, policy: str
) -> None:
    tracker = VideoTracker(model, movie, window=None, policy=policy)
    tracker.add_prompt(0, 1, box=FIRST)
    assert [result.frame for result in tracker.propagate()] == list(range(6))


def test_small_objects_are_seen_through_windows(model: Sam2Model) -> None:
    movie = squares(4, size=700, side=20, start=60)
    tracker = VideoTracker(model, movie, window=256)
    tracker.add_prompt(0, 1, box=(60, 60, 80, 80))
    tracker.add_prompt(0, 2, box=(600, 600, 620, 620))
    assert [set(result.masks) for result in tracker.propagate()] == [{1, 2}] * 4
    assert tracker.frames_encoded > 4


def test_an_image_is_segmented(model: Sam2Model, movie: np.ndarray) -> None:
    segmenter = ImageSegmenter(model)
    segmenter.set_image(movie[0])
    (best, *_) = segmenter.predict(points=[(20, 28)])
    assert best.frame_size == (96, 96)


def test_a_condensed_memory_takes_less_than_a_map(movie: np.ndarray) -> None:
    edgetam = build_model(get_variant("edgetam"), 1024)
    with torch.no_grad():
        latents = edgetam.spatial_perceiver(torch.zeros(1, 64, 64, 64))
    assert latents.numel() * 8 == 64 * 64 * 64
