"""Masks as people bring them: each is read as the objects that a person sees in it, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sam2_plugins.core.datasets import load_label_stack
from sam2_plugins.core.datasets.davis import davis_palette
from sam2_plugins.core.errors import FrameSourceError

SIZE = (96, 128)
RED, GREEN, WHITE, BLACK = (255, 0, 0), (0, 200, 0), (255, 255, 255), (0, 0, 0)
_ROWS, _COLUMNS = np.mgrid[: SIZE[0], : SIZE[1]]


def disc(x: int, y: int = 40, radius: int = 14) -> NDArray[np.bool_]:
    return (_COLUMNS - x) ** 2 + (_ROWS - y) ** 2 < radius**2


def painted(ground: tuple[int, ...], *colours: tuple[int, ...]) -> NDArray[np.uint8]:
    """Discs in a row, on a ground."""
    image = np.full((*SIZE, len(ground)), ground, np.uint8)
    for k, colour in enumerate(colours):
        image[disc(25 + 40 * k)] = colour
    return image


def read(image: NDArray | Image.Image, path: Path, **options: object) -> NDArray:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(path, **options)
    (labels,) = load_label_stack(path)
    return labels


def assert_discs(labels: NDArray, count: int, most_wrong: int = 0) -> None:
    """Each disc is an object of its own, and there is nothing else."""
    assert len(np.unique(labels)) == count + 1
    for k in range(count):
        wanted = disc(25 + 40 * k)
        label = labels[40, 25 + 40 * k]
        assert label > 0
        assert np.count_nonzero((labels == label) != wanted) <= most_wrong


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16"])
@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_white_on_black_is_one_object_in_any_mode(tmp_path: Path, mode: str, suffix: str) -> None:
    if suffix == "bmp" and mode in {"LA", "I;16"}:
        pytest.skip("BMP has no such mode")
    white = Image.fromarray(painted(BLACK, WHITE)).convert("L")
    image = white if mode == "I;16" else white.convert(mode)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(white).astype(np.uint16) * 257)
    assert_discs(read(image, tmp_path / f"m.{suffix}"), 1)


@pytest.mark.parametrize("ground", [BLACK, WHITE, (40, 40, 60), (*BLACK, 255), (*WHITE, 0)])
def test_colours_are_objects(tmp_path: Path, ground: tuple[int, ...]) -> None:
    alpha = (255,) * (len(ground) - 3)
    colours = [(*colour, *alpha) for colour in (RED, GREEN, (0, 0, 255))]
    assert_discs(read(painted(ground, *colours), tmp_path / "m.png"), 3)


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "P"])
@pytest.mark.parametrize("suffix", ["png", "gif", "jpg", "npy"])
def test_what_is_drawn_in_black_on_white_is_an_object(
    tmp_path: Path, mode: str, suffix: str
) -> None:
    if suffix == "jpg" and mode in {"1", "RGBA", "P"}:
        pytest.skip("JPEG has no such mode")
    image = Image.fromarray(painted(WHITE, BLACK)).convert(mode)
    if suffix == "npy":
        if mode not in {"RGB", "RGBA"}:
            pytest.skip("an array of numbers holds labels")
        np.save(tmp_path / "m.npy", np.asarray(image))
        (labels,) = load_label_stack(tmp_path / "m.npy")
    else:
        labels = read(image, tmp_path / f"m.{suffix}")
    assert_discs(labels, 1)


def test_black_is_a_colour_like_others_on_white(tmp_path: Path) -> None:
    assert_discs(read(painted(WHITE, BLACK, RED, GREEN), tmp_path / "m.png"), 3)


def test_a_large_object_at_the_border_is_no_ground(tmp_path: Path) -> None:
    white = np.full(SIZE, 255, np.uint8)
    white[:40, :60] = 0
    assert np.array_equal(read(white, tmp_path / "m.png") > 0, white > 0)


def test_what_is_drawn_in_black_on_nothing_is_an_object(tmp_path: Path) -> None:
    assert_discs(read(painted((0, 0, 0, 0), (0, 0, 0, 255)), tmp_path / "m.png"), 1)


@pytest.mark.parametrize("first", [BLACK, WHITE])
def test_a_palette_counts_by_its_colours_unless_it_begins_with_black(
    tmp_path: Path, first: tuple[int, ...]
) -> None:
    ground = 0 if first == BLACK else 2
    indices = np.full(SIZE, ground, np.uint8)
    indices[disc(25)], indices[disc(65)] = 1, 3
    image = Image.fromarray(indices).convert("P")
    second = BLACK if first == WHITE else GREEN
    image.putpalette([*first, *RED, *second, *GREEN])
    assert_discs(read(image, tmp_path / "m.png"), 2)


@pytest.mark.parametrize("ground", [BLACK, WHITE])
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif"])
@pytest.mark.parametrize("colours", [[WHITE], [RED, GREEN]])
def test_soft_edges_and_compression_make_no_objects(
    tmp_path: Path, ground: tuple[int, ...], suffix: str, colours: list[tuple[int, ...]]
) -> None:
    if colours == [WHITE] and ground == WHITE:
        pytest.skip("white on white")
    image = Image.new("RGB", (4 * SIZE[1], 4 * SIZE[0]), ground)
    draw = ImageDraw.Draw(image)
    for k, colour in enumerate(colours):
        x, y, r = 4 * (25 + 40 * k) + 2, 4 * 40 + 2, 4 * 14
        draw.ellipse((x - r, y - r, x + r, y + r), colour)
    smooth = image.resize(SIZE[::-1], Image.Resampling.LANCZOS)
    assert_discs(read(smooth, tmp_path / f"m.{suffix}"), len(colours), most_wrong=90)


def test_soft_edges_of_shades_of_grey_make_no_objects(tmp_path: Path) -> None:
    image = Image.new("L", (4 * SIZE[1], 4 * SIZE[0]))
    draw = ImageDraw.Draw(image)
    for k, shade in enumerate((80, 160, 240)):
        draw.ellipse((12 + 80 * k, 40, 72 + 80 * k, 120), shade)
    smooth = image.resize(SIZE[::-1], Image.Resampling.BILINEAR)
    assert np.unique(read(smooth, tmp_path / "m.png")).tolist() == [0, 80, 160, 240]


def sectors(*colours: tuple[int, ...]) -> NDArray[np.uint8]:
    """A disc on black that is cut into sectors, each of a colour."""
    angle = np.arctan2(_ROWS - 48, _COLUMNS - 64) / (2 * np.pi) + 0.5
    picture = np.array(colours, np.uint8)[
        np.minimum(angle * len(colours), len(colours) - 1).astype(int)
    ]
    picture[(_COLUMNS - 64) ** 2 + (_ROWS - 48) ** 2 > 40**2] = 0
    return picture


@pytest.mark.parametrize("quality", [75, 95])
def test_colours_that_touch_in_a_jpeg_are_objects(tmp_path: Path, quality: int) -> None:
    picture = sectors(RED, GREEN, (0, 0, 255))
    labels = read(picture, tmp_path / "m.jpg", quality=quality)
    found, counts = np.unique(labels, return_counts=True)
    assert len(found) == 4
    assert counts[1:] == pytest.approx(np.full(3, np.pi * 40**2 / 3), rel=0.06)


def test_colours_too_near_for_a_jpeg_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FrameSourceError, match=r"m\.jpg looks like .* save masks as PNG"):
        read(sectors((120, 120, 120), (140, 86, 75)), tmp_path / "m.jpg", quality=95)


def test_small_objects_that_a_jpeg_blurs_into_one_another_are_refused(tmp_path: Path) -> None:
    image = painted(BLACK, RED)
    for k, colour in enumerate([GREEN, (0, 0, 255), (255, 255, 0), (255, 0, 255)]):
        image[60:72, 90 + 3 * k : 93 + 3 * k] = colour
    with pytest.raises(FrameSourceError, match="save masks as PNG"):
        read(image, tmp_path / "m.jpg", quality=75)


@pytest.mark.parametrize("quality", [40, 90])
@pytest.mark.parametrize("side", [6, 12])
def test_a_small_object_in_a_jpeg_is_not_lost(tmp_path: Path, quality: int, side: int) -> None:
    image = painted(BLACK, RED)
    image[10 : 10 + side, 90 : 90 + side] = GREEN
    labels = read(image, tmp_path / "m.jpg", quality=quality)
    assert len(np.unique(labels)) == 3
    assert np.count_nonzero(labels == labels[13, 93]) == pytest.approx(side**2, rel=0.2)


def test_a_label_image_with_many_small_cells_is_left_as_it_is(tmp_path: Path) -> None:
    labels = np.zeros(SIZE, np.uint8)
    for k in range(200):
        y, x = divmod(k, 25)
        labels[10 * y : 10 * y + 2, 5 * x : 5 * x + 2] = k + 1
    labels[80:90, 10:60] = 255
    assert np.array_equal(read(labels, tmp_path / "m.png"), labels)


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (np.where(disc(25), 5, -1).astype(np.int32), 5),
        (np.where(disc(25), 1_000_001, 0).astype(np.uint32), 1_000_001),
        (np.where(disc(25), 70_000, 0).astype(np.float32), 70_000),
        (np.where(disc(25), 3, np.nan).astype(np.float32), 3),
    ],
)
def test_numbers_of_any_type_keep_their_ids(tmp_path: Path, labels: NDArray, wanted: int) -> None:
    tifffile.imwrite(tmp_path / "m.tif", labels)
    (found,) = load_label_stack(tmp_path / "m.tif")
    assert np.unique(found).tolist() == [0, wanted]


def test_a_colour_is_the_same_object_on_every_frame(tmp_path: Path) -> None:
    for frame, colours in enumerate([(RED, GREEN), (GREEN, RED)]):
        Image.fromarray(painted(BLACK, *colours)).save(tmp_path / f"{frame}.png")
    first, second = load_label_stack(tmp_path)
    assert first[40, 25] == second[40, 65] != first[40, 65] == second[40, 25]


@pytest.mark.parametrize(
    ("ground", "colour"), [(WHITE, BLACK), (BLACK, WHITE), (BLACK, (128,) * 3), ((0,) * 4, WHITE)]
)
def test_a_grey_colour_is_the_same_object_on_every_frame(
    tmp_path: Path, ground: tuple[int, ...], colour: tuple[int, ...]
) -> None:
    red, grey = ((*one, 255)[: len(ground)] for one in (RED, colour))
    frames = [(red, grey), (red, ground), (ground, grey)]
    images = [Image.fromarray(painted(ground, *colours)) for colours in frames]
    for frame, image in enumerate(images):
        image.save(tmp_path / f"{frame}.png")
    shown = [tuple(labels[40, [25, 65]]) for labels in load_label_stack(tmp_path)]
    a, b = shown[0]
    assert shown == [(a, b), (a, 0), (0, b)] and 0 < a != b > 0
    if len(ground) == 3:
        tifffile.imwrite(tmp_path / "m.tif", np.stack(images), photometric="rgb")
        assert [tuple(one[40, [25, 65]]) for one in load_label_stack(tmp_path / "m.tif")] == shown


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_photograph_is_no_mask(tmp_path: Path, mode: str) -> None:
    noise = np.random.default_rng(0).normal(0, 8, (*SIZE, 3))
    ramp = 60 + 100 * (_COLUMNS / SIZE[1])[..., None] + noise
    image = Image.fromarray(ramp.clip(0, 255).astype(np.uint8)).convert(mode)
    with pytest.raises(FrameSourceError, match=r"m\.png looks like a photograph"):
        read(image, tmp_path / "m.png")


def test_hidden_files_are_no_labels(tmp_path: Path) -> None:
    Image.fromarray(disc(25).astype(np.uint8)).save(tmp_path / "0.png")
    (tmp_path / "._0.png").write_bytes(b"of a Mac")
    assert len(load_label_stack(tmp_path)) == 1


@pytest.mark.parametrize("quality", [30, 90])
@pytest.mark.parametrize("pair", [(255, 128), (80, 160)])
def test_shades_of_grey_in_a_jpeg_are_objects(
    tmp_path: Path, quality: int, pair: tuple[int, int]
) -> None:
    shades = painted((0,), pair[:1], pair[1:])[..., 0]
    assert_discs(read(shades, tmp_path / "m.jpg", quality=quality), 2, most_wrong=60)


def test_what_is_half_transparent_is_drawn(tmp_path: Path) -> None:
    assert_discs(read(painted((0, 0, 0, 0), (*RED, 128)), tmp_path / "m.png"), 1)


VOC = davis_palette()


@pytest.mark.parametrize(("palette", "shown"), [(VOC, 0), ([*VOC[:-3], 9, 9, 9], 255)])
def test_the_void_of_pascal_voc_is_no_object(
    tmp_path: Path, palette: list[int], shown: int
) -> None:
    labels = np.array([[0, 0, 0], [0, 7, 255], [0, 0, 0]], np.uint8)
    picture = Image.fromarray(labels)
    picture.putpalette(palette)
    picture.save(tmp_path / "m.png")
    assert load_label_stack(tmp_path / "m.png")[0, 1].tolist() == [0, 7, shown]
