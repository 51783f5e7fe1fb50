"""What names of images tell, as microscopes and people write them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import FrameSource, natural_sorted, open_frames
from sam2_plugins.core.frames._file_names import arrange


def axes_of(names: Iterable[str], **options: object) -> tuple[str, tuple[int, ...], int]:
    """Axes, their sizes, and how many notes there are."""
    found = arrange([Path("exp") / name for name in names], **options)  # type: ignore[arg-type]
    assert len(found.files) == np.prod(found.shape)
    return found.axes, found.shape, len(found.notes)


def names(pattern: str, **values: Iterable[object]) -> list[str]:
    return [pattern.format(**dict(zip(values, v, strict=True))) for v in product(*values.values())]


@pytest.mark.parametrize(
    "movie",
    [
        names("frame{t}.png", t=range(12)),
        names("img_{t:09d}_Default_000.tif", t=range(5)),
        names("2024-08-20_13-28-{t:02d}.png", t=range(30)),
        names("c{t}.png", t=range(1, 4)),
        names("z{t:03d}.tif", t=range(9)),
        names("f{t:04d}.jpg", t=range(9)),
        ["a10.png", "B2.png"],
        ["a1.png", "a01.png", "a2.png"],
        ["start.png", "middle.png", "end.png"],
        [f"frame_{k:03d}_t={k * 5}min.png" for k in range(7)],
        [f"{k:02d}h.png" for k in range(3)],
        ["one.png"],
    ],
)
def test_names_that_count_one_thing_are_a_movie(movie: list[str]) -> None:
    assert axes_of(movie) == ("T", (len(movie),), 0)


@pytest.mark.parametrize(
    "movie",
    [
        names(
            "img_channel{c}_position000_time{t:09d}_z000.tif", c=["BF", "Cy5", "GFP"], t=range(4)
        ),
        names("exp_w{c}_s1_t{t}.TIF", c=["1DAPI", "2GFP", "3BF"], t=range(1, 5)),
        names("xy01c{c}t{t:03d}.tif", c=[1, 2, 3], t=range(4)),
        names("movie_t{t:02d}_ch{c:02d}.tif", t=range(4), c=range(3)),
        names("Time_{t:03d}_Channel_{c}.png", t=range(4), c=range(3)),
        names("W0001F0001T{t:04d}Z001C{c}.tif", t=range(4), c=[1, 2, 3]),
        names("r02c02f01p01-ch{c}sk{t}fk1fl1.tiff", t=range(1, 5), c=[1, 2, 3]),
    ],
)
def test_channels_and_times_are_told_by_the_names_of_microscopes(movie: list[str]) -> None:
    assert axes_of(movie) == ("TC", (4, 3), 1)


def test_planes_and_channels_are_told_together() -> None:
    movie = names("a_t{t}_z{z}_c{c}.tif", t=range(12), z=range(3), c=range(2))
    assert axes_of(movie) == ("TCZ", (12, 2, 3), 1)


@pytest.mark.parametrize(
    "movie",
    [
        names("img_channelBF_position{s:03d}_time{t:09d}_z000.tif", s=range(3), t=range(4)),
        names("exp_w1DAPI_s{s}_t{t}.TIF", s=range(1, 4), t=range(4)),
        names("cells_{s}_{t:03d}.png", s=["left", "middle", "right"], t=range(4)),
        names("r0{s}c02f01p01-ch1sk{t}fk1fl1.tiff", s=range(1, 4), t=range(1, 5)),
        names("t{t:02d}_c{s:02d}.png", t=range(4), s=range(9)),
    ],
)
def test_of_several_series_one_is_shown_and_the_others_are_named(movie: list[str]) -> None:
    axes, shape, notes = axes_of(movie)
    assert (axes, shape, notes) == ("T", (4,), 1)
    assert axes_of(movie, series=1) == ("T", (4,), 0)


def test_a_series_that_is_not_there_is_refused() -> None:
    with pytest.raises(FrameSourceError, match=r"make 2 series.*no series 2"):
        axes_of(names("{s}_{t}.png", s=["a", "b"], t=range(3)), series=2)


def test_words_are_channels_if_a_person_says_so() -> None:
    movie = names("cells_{c}_{t:03d}.png", c=["BF", "GFP"], t=range(3))
    assert axes_of(movie, channels_by="BF|GFP") == ("TC", (3, 2), 1)
    assert axes_of(movie, channels_by="cells_([A-Z]+)_") == ("TC", (3, 2), 1)
    with pytest.raises(FrameSourceError, match="finds nothing in the name cells_BF_000"):
        axes_of(movie, channels_by="DAPI")
    with pytest.raises(FrameSourceError, match="is no expression"):
        axes_of(movie, channels_by="(")


def test_a_last_time_that_is_not_complete_is_left_out() -> None:
    movie = names("t{t}_ch{c}.tif", t=range(4), c=range(2))
    assert axes_of(movie[:-1]) == ("TC", (3, 2), 2)


def test_a_channel_that_is_there_at_every_second_time_is_not_mixed_in() -> None:
    movie = names("t{t}_ch0.tif", t=range(6)) + names("t{t}_ch1.tif", t=[0, 2, 4])
    assert axes_of(movie) == ("T", (6,), 1)


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ([0, 1, 2, 4, 5], True),
        ([10, 20, 30, 40, 60, 70], True),
        ([0, 5, 10], False),
        ([1, 3, 4, 9, 11], False),
    ],
)
def test_a_number_that_is_missing_is_told(numbers: list[int], told: bool) -> None:
    assert axes_of(names("t{t:03d}.png", t=numbers)) == ("T", (len(numbers),), int(told))


def test_two_numbers_that_count_are_told_unless_they_are_a_clock() -> None:
    assert axes_of(names("{a}_{t:02d}.png", a=[1, 2], t=range(4))) == ("T", (8,), 1)
    clock = names("2024-01-0{d} {h:02d}-00-00.png", d=[1, 2], h=range(4))
    assert axes_of(clock) == ("T", (8,), 0)


def test_a_pattern_is_named_only_if_it_gives_the_first_series() -> None:
    def note(pattern: str) -> str:
        found = arrange([Path("exp") / name for name in names(pattern, t=range(2), p=range(2))])
        return found.notes[0]

    assert '"' not in note("img_t{t}_s{p}.tif")
    assert '"exp/*10*"' in note("img_t{t}_s1{p}.tif")


@pytest.mark.parametrize("other", ["frame{t:03d}_mask.png", "labels for {t}.png"])
def test_pictures_and_masks_in_one_folder_are_told(other: str) -> None:
    both = [*names("frame{t:03d}.png", t=range(3)), *names(other, t=range(3))]
    assert axes_of(both) == ("T", (6,), 1)


def test_natural_order_is_by_number_whatever_the_case() -> None:
    assert natural_sorted(["B2", "a10", "a9", "A1", "x²"]) == ["A1", "a9", "a10", "B2", "x²"]


def write_channels(folder: Path) -> None:
    folder.mkdir()
    for t in range(3):
        for c, name in enumerate(["BF", "GFP"]):
            plane = np.full((20, 30), 100 * t + 10 * c, np.uint8)
            tifffile.imwrite(folder / f"img_channel{name}_time{t:03d}.tif", plane)


def greys(source: FrameSource, channel: int = 0) -> list[int]:
    return [int(frame.image[0, 0, channel]) for frame in source]


def test_a_folder_of_channels_is_a_movie_in_colour(tmp_path: Path) -> None:
    write_channels(tmp_path / "exp")
    source = open_frames(tmp_path / "exp")
    assert (len(source), source.axes) == (3, "TCYX")
    assert (greys(source, 0), greys(source, 1)) == ([0, 100, 200], [10, 110, 210])
    assert greys(open_frames(tmp_path / "exp", channels=[1])) == [10, 110, 210]


def test_a_pattern_as_the_path_takes_a_part_of_a_folder(tmp_path: Path) -> None:
    write_channels(tmp_path / "exp")
    assert greys(open_frames(tmp_path / "exp" / "*GFP*.tif")) == [10, 110, 210]
    (tmp_path / "exp").rename(tmp_path / "[2]*: exp")
    assert greys(open_frames(tmp_path / "[2]*: exp" / "*GFP*.tif")) == [10, 110, 210]
    assert greys(open_frames(tmp_path / "*exp" / "*GFP*.tif")) == [10, 110, 210]
    with pytest.raises(FrameSourceError, match=r"No image fits the pattern .*\*DAPI"):
        open_frames(tmp_path / "exp" / "*DAPI*")


def test_colour_pictures_of_several_channels_are_series(tmp_path: Path) -> None:
    for t, c in product(range(3), range(2)):
        image = np.full((20, 30, 3), 100 * c + t, np.uint8)
        Image.fromarray(image).save(tmp_path / f"t{t}_ch{c}.png")
    source = open_frames(tmp_path)
    assert (greys(source), len(source.warnings)) == ([0, 1, 2], 1)
    assert greys(open_frames(tmp_path, stream=1)) == [100, 101, 102]
