from __future__ import annotations

import av
import numpy as np
import pytest
import tifffile
from PIL import Image

from sam2_plugins.core.checkpoints import find_weights, load_model
from sam2_plugins.core.errors import TrackingError
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.prompt_files import load_prompts
from sam2_plugins.demo.run import prompt_cells
from tests.cli.conftest import run  # noqa: F401

pytestmark = pytest.mark.skipif(
    find_weights("nano") is None, reason="this checkout lacks the embedded weights"
)


@pytest.mark.slow
def test_the_demo_tracks_every_cell_and_shows_it(run, tmp_path):  # noqa: F811
    result = run("demo", "--synthetic", "--out", tmp_path, "--json")
    assert result.code == 0
    told = result.json
    cells = told["objects"]
    assert len(cells) == 12
    assert {cell["prompt"] for cell in cells} == {"click @ 0", "box @ 0"}
    assert all(cell["frames_tracked"] == 20 for cell in cells)
    assert all(cell["frames_seen"] >= 15 for cell in cells)
    assert "synthetic time-lapses only" in result.err

    labels = tifffile.imread(tmp_path / "labels.tif")
    assert labels.shape == (20, 512, 512)
    assert set(range(1, 13)) <= set(labels[0].ravel().tolist())
    with av.open(str(tmp_path / "overlay.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 20
    for name in ("contact_sheet.png", "cells.png"):
        with Image.open(tmp_path / name) as picture:
            assert min(picture.size) > 500
    assert len(load_prompts(tmp_path / "prompts.json").prompts) == 12
    assert {str(path) for path in tmp_path.iterdir()} == set(told["files"])


def test_a_movie_without_a_cell_is_an_error_that_says_so(tmp_path):
    frames = open_frames(np.zeros((2, 100, 100), np.uint8), axes="TYX")
    with pytest.raises(TrackingError, match="no cell"):
        prompt_cells(load_model("nano"), frames)
