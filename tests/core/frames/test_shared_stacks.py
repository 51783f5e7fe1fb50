"""Real microscopy: stacks and folders of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from sam2_plugins.core.frames import open_frames

FOLDERS = {
    "ctc_fluo_sim_01": (30, 480, 480, "uint16"),
    "ctc_dic_hela_01": (30, 512, 512, "uint8"),
    "ecoli_phase_trpL": (15, 360, 480, "uint16"),
}


@pytest.mark.parametrize("name", sorted(FOLDERS))
def test_a_folder_of_microscopy_is_a_movie(shared_data: Path, name: str) -> None:
    count = FOLDERS[name][0]
    folder = shared_data / name / "frames"
    source = open_frames(folder)
    assert (len(source), source.height, source.width, str(source.dtype)) == FOLDERS[name]
    stored = tifffile.imread(sorted(folder.iterdir())[count - 1]).astype(float)
    shown = source[count - 1].image
    assert np.array_equal(shown[..., 0], shown[..., 2])
    low, high = source.normalisation.limits[0] if source.normalisation.limits else (0, 255)
    expected = np.clip((stored - low) * 255 / (high - low), 0, 255)
    assert np.abs(shown[..., 0] - expected).max() <= 0.501


def test_a_narrow_sixteen_bit_range_is_stretched(shared_data: Path) -> None:
    source = open_frames(shared_data / "ctc_fluo_sim_01" / "frames")
    image = source[0].image
    assert image.min() == 0
    assert image.max() == 255
    assert np.percentile(image, 99) > 100


def test_a_stack_is_its_first_frames(shared_data: Path) -> None:
    folder = shared_data / "ctc_fluo_sim_01"
    stack = open_frames(folder / "stack.ome.tif", limits=(73, 314))
    images = open_frames(folder / "frames", limits=(73, 314))
    assert (stack.kind, stack.axes, stack.axes_guessed) == ("tiff", "TYX", False)
    assert len(stack) > 1
    for k in reversed(range(len(stack))):
        assert np.array_equal(stack[k].image, images[k].image)
