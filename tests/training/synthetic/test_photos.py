from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_plugins.training.synthetic import Photos, make_clip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures in green, as no texture of the generator is."""
    leaves = np.zeros((90, 140, 3), np.uint8)
    leaves[:, :100] = (0, 250, 0)
    (tmp_path / "below").mkdir()
    Image.fromarray(leaves).save(tmp_path / "below" / "leaves.png")
    Image.fromarray(leaves[:, :, ::-1].copy()).save(tmp_path / "more.jpg")
    (tmp_path / "note.txt").write_text("not a picture")
    return tmp_path


def test_all_pictures_of_a_folder_are_found(folder: Path) -> None:
    assert [path.name for path in Photos.in_folder(folder).paths] == ["leaves.png", "more.jpg"]


def test_a_surface_has_the_wanted_shape_and_the_colours_of_a_picture(folder: Path) -> None:
    photos = Photos.in_folder(folder)
    surface = photos.surface(np.random.default_rng(0), (40, 60))
    assert surface.shape == (40, 60, 3) and surface.dtype == np.float32
    assert surface[..., 1].mean() > 4 * surface[..., 0].mean()


def test_natural_clips_take_their_surfaces_from_photographs(folder: Path) -> None:
    green = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        clip = make_clip(rng, 64, 1, "texture", Photos.in_folder(folder))
        red, green_, blue = clip.frames[0].reshape(-1, 3).mean(0)
        green += green_ > 2 * max(red, blue)
    assert green >= 2


def test_without_photographs_there_is_nothing_to_take(tmp_path: Path) -> None:
    assert not Photos.in_folder(tmp_path)
    make_clip(np.random.default_rng(0), 64, 1, "texture", Photos.in_folder(tmp_path))


def test_scikit_images_pictures_are_found_where_it_is_installed() -> None:
    pytest.importorskip("skimage")
    assert "astronaut.png" in {path.name for path in Photos.installed().paths}
