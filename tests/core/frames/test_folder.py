from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imagecodecs
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


def test_the_folder_that_one_is_in_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(plain(1)).save(tmp_path / "0.png")
    (tmp_path / "inner").mkdir()
    for where, path in ((tmp_path, "."), (tmp_path / "inner", "..")):
        monkeypatch.chdir(where)
        assert open_frames(path).name == tmp_path.name


def test_an_empty_folder_points_to_those_inside(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    with pytest.raises(FrameSourceError, match=r"no images.*Did you mean.*frames"):
        open_frames(tmp_path)


def test_a_broken_image_is_named(tmp_path: Path) -> None:
    Image.fromarray(plain(0)).save(tmp_path / "0.png")
    (tmp_path / "1.png").write_bytes(b"\0\1\2")
    with pytest.raises(FrameSourceError, match=r"1\.png cannot be read"):
        open_frames(tmp_path)


def test_a_link_to_nothing_is_a_frame_that_is_missing(tmp_path: Path) -> None:
    for name in ("1.png", "3.png"):
        Image.fromarray(plain(1)).save(tmp_path / name)
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(FrameSourceError, match=r"2\.png cannot be read"):
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


@pytest.mark.parametrize("others", ["L", "RGB"])
@pytest.mark.parametrize("odd", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_images_of_different_modes_are_brought_to_one(
    tmp_path: Path, odd: str, others: str
) -> None:
    suffix = "jpg" if odd == "CMYK" else "png"
    for k in range(4):
        image = Image.fromarray(plain(255 * (k > 0))).convert(odd if k == 2 else others)
        image.save(tmp_path / f"{k}.{suffix}")
    frames = list(open_frames(tmp_path))
    assert [int(frame.image.mean().round()) for frame in frames] == [0, 255, 255, 255]
    assert {frame.image.shape for frame in frames} == {(20, 30, 3)}


@pytest.mark.parametrize("first", ["uint8", "uint16", "float32"])
def test_images_of_different_depths_keep_their_values_and_it_is_told(
    tmp_path: Path, first: str
) -> None:
    other = "uint16" if first == "uint8" else "uint8"
    for k, dtype in enumerate([first, other, other]):
        tifffile.imwrite(tmp_path / f"{k}.tif", plain(50 * (k + 1), (20, 30), dtype))
    source = open_frames(tmp_path, limits=(0, 255))
    assert [frame.image[0, 0, 0] for frame in source] == [50, 100, 150]
    assert {frame.image.dtype for frame in source} == {np.dtype(np.uint8)}
    assert "differ in the type of their samples" in source.warnings[0]


def deep(*channels: int) -> NDArray[np.uint16]:
    """A ramp of 12 bits."""
    ramp = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (32, 1))
    return np.stack([ramp] * channels[0], -1) if channels else ramp


def as_netpbm(image: NDArray[np.uint16]) -> bytes:
    kind = b"P6" if image.ndim == 3 else b"P5"
    height, width = image.shape[:2]
    return (
        kind
        + f"\n# made by a test\n{width} {height}\n4095\n".encode()
        + image.astype(">u2").tobytes()
    )


@pytest.mark.parametrize(
    ("suffix", "image", "encode"),
    [
        ("png", deep(), imagecodecs.png_encode),
        ("png", deep(2), imagecodecs.png_encode),
        ("png", deep(3), imagecodecs.png_encode),
        ("png", deep(4), imagecodecs.png_encode),
        ("jp2", deep(), imagecodecs.jpeg2k_encode),
        ("jp2", deep(3), imagecodecs.jpeg2k_encode),
        ("pgm", deep(), as_netpbm),
        ("ppm", deep(3), as_netpbm),
    ],
)
def test_colours_of_more_than_8_bits_keep_their_depth(
    tmp_path: Path, suffix: str, image: NDArray, encode: Callable[[NDArray], bytes]
) -> None:
    for k in range(2):
        (tmp_path / f"{k}.{suffix}").write_bytes(encode(image))
    source = open_frames(tmp_path, limits=(0, 4095))
    assert source.dtype == np.uint16
    shown = source[1].image[0, :, 0]
    assert (len(np.unique(shown)), shown.max()) == (64, 255)


def test_an_animation_among_images_is_refused(tmp_path: Path) -> None:
    still = Image.fromarray(plain(5))
    still.save(tmp_path / "0.png")
    still.save(tmp_path / "1.png", save_all=True, append_images=[Image.fromarray(plain(9))])
    with pytest.raises(FrameSourceError, match=r"1\.png is a movie of 2 frames"):
        open_frames(tmp_path)


def test_a_folder_of_movies_is_refused(tmp_path: Path) -> None:
    for k in range(2):
        movie = np.zeros((6, 20, 30), np.uint8)
        tifffile.imwrite(tmp_path / f"{k}.tif", movie, imagej=True, metadata={"axes": "TYX"})
    with pytest.raises(FrameSourceError, match=r"0\.tif is a movie of 6 frames"):
        open_frames(tmp_path)


def test_an_image_too_large_to_decode_is_refused_by_its_header(tmp_path: Path) -> None:
    for name, size in (("bomb.png", 20_000), ("large.png", 3_000)):
        Image.new("1", (size, size)).save(tmp_path / name)
    with pytest.raises(FrameSourceError, match=r"bomb\.png"):
        open_frames(tmp_path / "bomb.png")
    with pytest.raises(FrameSourceError, match=r"3000 x 3000 pixels, more than the 1,000,000"):
        open_frames(tmp_path / "large.png", max_pixels=1_000_000)


@pytest.mark.parametrize("suffix", ["png", "webp", "avif", "gif"])
def test_an_animation_is_a_movie_with_its_times(tmp_path: Path, suffix: str) -> None:
    images = [Image.fromarray(plain(50 * k)) for k in range(5)]
    durations = [100, 200, 300, 100, 100]
    path = tmp_path / f"m.{suffix}"
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations)
    source = open_frames(path)
    assert source.times.tolist() == pytest.approx([0, 0.1, 0.3, 0.6, 0.7])
    for k in (4, 1, 3, 0, 2):
        assert int(source[k].image[5, 5, 0]) == pytest.approx(50 * k, abs=3)


def test_frames_that_are_drawn_over_and_taken_away_are_composed(tmp_path: Path) -> None:
    squares = []
    for k in range(4):
        squares.append(Image.new("RGBA", (32, 24)))
        squares[-1].paste((200, 50 * k, 0, 255), (4 * k, 3 * k, 4 * k + 8, 3 * k + 8))
    path = tmp_path / "m.png"
    squares[0].save(path, save_all=True, append_images=squares[1:], disposal=2, blend=1)
    source = open_frames(path)
    for k in (3, 0, 2, 1):
        assert np.array_equal(source[k].image, np.asarray(squares[k])[..., :3])


def test_black_and_white_among_16_bits_is_told(tmp_path: Path) -> None:
    Image.fromarray(np.eye(20, dtype=bool)).save(tmp_path / "0.png")
    Image.fromarray(np.full((20, 20), 60_000, np.uint16)).save(tmp_path / "1.png")
    assert "0.png is of uint8" in open_frames(tmp_path).warnings[0]


def test_other_suffixes_of_jpeg_are_turned_as_it_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (32, 24), (10, 20, 30))
    image.save(tmp_path / "0.jfif", format="JPEG", exif=exif)
    assert open_frames(tmp_path / "0.jfif")[0].image.shape == (32, 24, 3)
    assert len(open_frames(tmp_path)) == 1


def test_stacks_in_a_folder_are_shown_as_one_is(tmp_path: Path) -> None:
    planes = np.random.default_rng(0).integers(0, 256, (3, 20, 30)).astype(np.uint8)
    for number in range(2):
        with tifffile.TiffWriter(tmp_path / f"t{number}.tif") as writer:
            for plane in planes:
                writer.write(255 - plane, photometric="miniswhite", contiguous=False)
    source = open_frames(tmp_path, z=2)
    assert (source.axes, len(source)) == ("TZYX", 2)
    assert np.array_equal(source[1].image[..., 0], planes[2])


def test_a_page_of_another_kind_in_the_file_of_a_frame_is_no_plane(tmp_path: Path) -> None:
    movie = np.random.default_rng(0).integers(0, 255, (3, 20, 30)).astype(np.uint16)
    for number, frame in enumerate(movie):
        with tifffile.TiffWriter(tmp_path / f"{number}.tif") as writer:
            for page in (frame, (frame > 100).astype(np.uint8)):  # a picture, and its mask
                writer.write(page, photometric="minisblack", metadata=None)
    source = open_frames(tmp_path, limits=(0, 255))
    assert (source.axes, len(source)) == ("TYX", 3)
    assert np.array_equal(source[2].image[..., 0], movie[2])
