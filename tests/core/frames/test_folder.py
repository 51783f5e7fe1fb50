from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import open_frames


def plain(value: int, shape: tuple[int, ...] = (20, 30, 3), dtype: str = "uint8") -> NDArray:
    return np.full(shape, value, dtype)


def first_values(folder: Path) -> list[int]:
    return [int(frame.image[0, 0, 0]) for frame in open_frames(folder)]


def test_images_come_in_natural_order(tmp_path: Path) -> None:
    for k in (1, 2, 10, 100):
        Image.fromarray(plain(k)).save(tmp_path / f"frame{k}.png")
    assert first_values(tmp_path) == [1, 2, 10, 100]


def test_opening_a_folder_of_png_decodes_only_the_first(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(3):
        Image.fromarray(rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)).save(
            tmp_path / f"{k}.png"
        )
    cut = tmp_path / "2.png"
    cut.write_bytes(cut.read_bytes()[:200])
    frames = open_frames(tmp_path)
    assert frames[1].image.shape == (20, 30, 3)
    with pytest.raises(FrameSourceError, match="Frame 2"):
        frames[2]


def test_other_files_and_hidden_ones_are_passed_over(tmp_path: Path) -> None:
    Image.fromarray(plain(5)).save(tmp_path / "a.png")
    Image.fromarray(plain(9)).save(tmp_path / ".hidden.png")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "sub.png").mkdir()
    assert first_values(tmp_path) == [5]


def test_two_spellings_of_a_suffix_are_one_kind(tmp_path: Path) -> None:
    Image.fromarray(plain(50)).save(tmp_path / "0.jpg")
    Image.fromarray(plain(90)).save(tmp_path / "1.JPEG")
    assert first_values(tmp_path) == [50, 90]


def test_mixed_kinds_are_refused_with_the_mend(tmp_path: Path) -> None:
    Image.fromarray(plain(0)).save(tmp_path / "0.png")
    Image.fromarray(plain(0)).save(tmp_path / "1.jpg")
    with pytest.raises(FrameSourceError, match=r"1 \.jpg, 1 \.png.*Keep one kind"):
        open_frames(tmp_path)


def test_different_sizes_are_refused_naming_the_file(tmp_path: Path) -> None:
    Image.fromarray(plain(0)).save(tmp_path / "0.png")
    Image.fromarray(plain(0, (20, 31, 3))).save(tmp_path / "1.png")
    with pytest.raises(FrameSourceError, match=r"1\.png has 20 x 31"):
        open_frames(tmp_path)


def test_an_empty_folder_points_to_those_inside(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    with pytest.raises(FrameSourceError, match=r"no images.*Did you mean.*frames"):
        open_frames(tmp_path)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    Image.fromarray(plain(0)).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"no image")
    with pytest.raises(FrameSourceError, match=r"1\.png cannot be read"):
        open_frames(tmp_path)


def test_sixteen_bit_images_are_stretched_together(tmp_path: Path) -> None:
    for k in range(3):
        Image.fromarray(plain(1000 * k, (20, 30), "uint16")).save(tmp_path / f"{k}.png")
    assert [int(f.image.max()) for f in open_frames(tmp_path, limits=(0, 2000))] == [0, 128, 255]


def test_palettes_and_alpha_become_colour(tmp_path: Path) -> None:
    red = np.zeros((20, 30, 3), np.uint8)
    red[..., 0] = 255
    for name, mode in (("palette", "P"), ("alpha", "RGBA"), ("grey_alpha", "LA"), ("ink", "CMYK")):
        folder = tmp_path / name
        folder.mkdir()
        suffix = "jpg" if mode == "CMYK" else "png"
        Image.fromarray(red).convert(mode).save(folder / f"0.{suffix}")
        image = open_frames(folder)[0].image
        assert image.shape == (20, 30, 3)
        expected = [76, 76, 76] if mode == "LA" else [255, 0, 0]
        assert np.abs(image[5, 5].astype(int) - expected).max() <= 3


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    image = Image.fromarray(plain(0))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "0.jpg", exif=exif)
    source = open_frames(tmp_path)
    assert (source.height, source.width) == (30, 20)
    assert source[0].image.shape == (30, 20, 3)


def test_a_single_image_and_a_list_of_paths_are_movies(tmp_path: Path) -> None:
    paths = [tmp_path / "b.png", tmp_path / "a.png"]
    for value, path in zip((7, 8), paths, strict=True):
        Image.fromarray(plain(value)).save(path)
    assert len(open_frames(paths[0])) == 1
    assert [int(f.image[0, 0, 0]) for f in open_frames(paths)] == [7, 8]


def test_a_folder_of_stacks_shows_one_plane_of_each(tmp_path: Path) -> None:
    for k in range(3):
        stack = np.stack([plain(10 * k + z, (20, 30)) for z in range(5)])
        tifffile.imwrite(tmp_path / f"t{k}.tif", stack)
    source = open_frames(tmp_path, z=4)
    assert len(source) == 3
    assert [int(f.image[0, 0, 0]) for f in source] == [4, 14, 24]


def test_a_colour_tiff_sequence_stays_colour(tmp_path: Path) -> None:
    for k in range(2):
        tifffile.imwrite(tmp_path / f"{k}.tif", plain(k + 5), photometric="rgb")
    source = open_frames(tmp_path)
    assert (len(source), source.axes) == (2, "TYXS")
    assert source[1].image[0, 0].tolist() == [6, 6, 6]
