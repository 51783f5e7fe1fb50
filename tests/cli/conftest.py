from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from sam2_plugins.cli import app
from sam2_plugins.core.checkpoints import find_weights
from sam2_plugins.labelstudio_backend.formats import brush
from sam2_plugins.labelstudio_backend.keyframes import NOTE

FRAMES, HEIGHT, WIDTH = 6, 96, 128

Run = Callable[..., "Result"]


class Result:
    """What a command printed, and its exit code."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run() -> Run:
    """Run a command of the real app in this process."""

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Result(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture(scope="session")
def nano() -> str:
    """The embedded model."""
    if find_weights("nano") is None:
        pytest.skip("this checkout lacks the embedded weights, core/weights/nano.safetensors")
    return "nano"


@pytest.fixture(scope="session")
def discs() -> tuple[np.ndarray, np.ndarray]:
    """Two discs that move apart: frames and labels, uint8 [T, H, W]."""
    return moving_discs(FRAMES)


@pytest.fixture(scope="session")
def movie(discs: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("movie") / "discs.tif"
    tifffile.imwrite(path, discs[0], metadata={"axes": "TYX"})
    return path


@pytest.fixture
def export(discs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> Path:
    """An export of Label Studio with the masks of the movie's discs, a page for each frame."""
    height, width = discs[1].shape[1:]
    results = [
        {
            "id": f"{frame}-{label}",
            "type": "brushlabels",
            "item_index": frame,
            "meta": {NOTE: {"track": f"cell {label}"}},
            "value": {
                "format": "rle",
                "rle": brush.encode(image == label),
                "brushlabels": [f"Cell {label}"],
            },
            "original_width": width,
            "original_height": height,
        }
        for frame, image in enumerate(discs[1])
        for label in (1, 2)
    ]
    pages = [f"/x/{frame}.png" for frame in range(len(discs[1]))]
    task = {"id": 7, "data": {"pages": pages}, "annotations": [{"result": results}]}
    (tmp_path / "export.json").write_text(json.dumps([task]))
    return tmp_path / "export.json"


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """An export of Label Studio with one mask on one image."""
    mask = np.zeros((20, 30), bool)
    mask[5:9, 10:20] = True
    value = {"format": "rle", "rle": brush.encode(mask), "brushlabels": ["Cell"]}
    size = {"original_width": 30, "original_height": 20}
    result = {"id": "a", "type": "brushlabels", "value": value, **size}
    task = {"id": 7, "data": {"image": "/x/cells.png"}, "annotations": [{"result": [result]}]}
    path = tmp_path / "export.json"
    path.write_text(json.dumps([task]))
    return path


def moving_discs(frames: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    movie = rng.normal(20, 4, (frames, HEIGHT, WIDTH))
    labels = np.zeros(movie.shape, np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    for frame in range(frames):
        shift = frame % 12
        for label, (cx, cy, radius) in enumerate([(40 - shift, 40, 12), (85 + shift, 60, 10)], 1):
            inside = (x - cx) ** 2 + (y - cy) ** 2 < radius**2
            movie[frame][inside] += 200 - 40 * label
            labels[frame][inside] = label
    return movie.clip(0, 255).astype(np.uint8), labels
