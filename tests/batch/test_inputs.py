"""Results belong to all files that their movie is read from, and to no others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_plugins.batch.inputs import read_content
from sam2_plugins.core.errors import FrameSourceError
from tests.core.frames.test_tiff import write_set


def write_images(folder: Path) -> None:
    for index in range(3):
        Image.fromarray(np.full((8, 8), index, np.uint8)).save(folder / f"t{index}_GFP.png")


def digest(source: Path | str) -> str:
    return read_content(str(source), None)["digest"]


def change(path: Path) -> None:
    """Write another sample, in a file of the same size."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["first.ome.tif", "second.ome.tif"])
def test_a_set_is_another_movie_when_any_of_its_files_changes(tmp_path: Path, name: str) -> None:
    write_set(tmp_path)
    before = digest(tmp_path / "first.ome.tif")
    change(tmp_path / name)
    assert digest(tmp_path / "first.ome.tif") != before


def test_a_set_of_which_a_file_is_lost_is_another_movie(tmp_path: Path) -> None:
    write_set(tmp_path)
    before = digest(tmp_path / "first.ome.tif")
    (tmp_path / "second.ome.tif").unlink()
    assert digest(tmp_path / "first.ome.tif") != before


@pytest.mark.parametrize("source", [".", "*GFP*.png"])
def test_images_are_known_by_their_names_and_contents(tmp_path: Path, source: str) -> None:
    write_images(tmp_path)
    before = digest(tmp_path / source)
    change(tmp_path / "t1_GFP.png")
    changed = digest(tmp_path / source)
    (tmp_path / "t0_GFP.png").rename(tmp_path / "t9_GFP.png")
    assert len({before, changed, digest(tmp_path / source)}) == 3


@pytest.mark.parametrize("source", [".", "*GFP*.png"])
def test_what_else_is_in_the_folder_is_not_of_the_movie(tmp_path: Path, source: str) -> None:
    write_images(tmp_path)
    before = read_content(str(tmp_path / source), None)
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "tracked").mkdir()
    (tmp_path / "tracked" / "labels.tif").touch()
    assert read_content(str(tmp_path / source), None) == before


def test_a_pattern_that_fits_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FrameSourceError, match=r"\*GFP\*"):
        digest(tmp_path / "*GFP*.png")
