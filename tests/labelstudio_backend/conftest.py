from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_plugins.core.checkpoints import find_weights
from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.settings import Settings
from tests.cli.conftest import moving_discs
from tests.support.movies import write_video

FRAMES, HEIGHT, WIDTH = 12, 96, 128


@pytest.fixture(scope="session")
def discs() -> tuple[np.ndarray, np.ndarray]:
    """Two discs that move apart: frames and labels, uint8 [T, H, W]."""
    return moving_discs(FRAMES)


@pytest.fixture(scope="session")
def files(discs, tmp_path_factory) -> Path:
    """A folder with the discs as `discs.mp4`, and `page0.png` and so on."""
    folder = tmp_path_factory.mktemp("media")
    for number, image in enumerate(discs[0]):
        Image.fromarray(image).save(folder / f"page{number}.png")
    write_video(folder / "discs.mp4", discs[0], crf="14")
    return folder


@pytest.fixture
def settings(files: Path, tmp_path: Path) -> Settings:
    if find_weights("nano") is None:
        pytest.skip("this checkout lacks the embedded weights, core/weights/nano.safetensors")
    return Settings(cache=str(tmp_path / "cache"), roots=(str(files),))


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    made = Engine(settings)
    yield made
    made.close()
