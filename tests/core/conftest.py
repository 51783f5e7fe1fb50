from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.model import Sam2Model, build_model
from sam2_plugins.core.variants import NANO
from sam2_plugins.training.initialise import initialise


@pytest.fixture(scope="session")
def small_model() -> Sam2Model:
    """Fresh weights, for what does not depend on how good the masks are."""
    torch.manual_seed(1)
    model = build_model(replace(NANO, name="small", image_size=64, prompt_views=1))
    initialise(model)
    return model.eval()


@pytest.fixture(scope="session")
def nano() -> Sam2Model:
    """Real weights, for what depends on good masks."""
    return cached_model("nano", device="cpu")


def squares(
    frames: int, size: int = 96, step: int = 2, side: int = 16, start: int = 10
) -> np.ndarray:
    """uint8 [T, size, size]: one bright square moving right, one moving down, on noise."""
    rng = np.random.default_rng(0)
    movie = rng.integers(0, 40, (frames, size, size), dtype=np.uint8)
    for t in range(frames):
        x = start + step * t
        movie[t, 20 : 20 + side, x : x + side] += 180
        movie[t, x : x + side, 60 : 60 + side] += 120
    return movie


@pytest.fixture
def movie() -> np.ndarray:
    return squares(12)
