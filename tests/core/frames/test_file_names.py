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
        names("x_c{c}_t{t}.tif", c=range(3), t=range(4)),
        names("x_t-{t}_c-{c}.tif", t=range(4), c=range(3)),
        names("exp2_t={t}c={c}.tif", t=range(4), c=range(3)),
        names("2024-08-20c_{c}t_{t}.tif", c=range(3), t=range(4)),
        names("channel{c}time{t}.tif", c=range(3), t=range(4)),
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


def stems(movie: Iterable[str]) -> list[str]:
    return [path.stem for path in arrange([Path("exp") / name for name in movie]).files]


@pytest.mark.parametrize("order", ["tcz", "tzc", "ctz", "czt", "ztc", "zct"])
def test_times_are_in_order_wherever_they_stand_in_the_names(order: str) -> None:
    sizes = {"t": 12, "c": 2, "z": 3}
    movie = names("_".join(f"{k}{{{k}}}" for k in order), **{k: range(sizes[k]) for k in order})
    found = arrange([Path("exp") / name for name in movie])
    assert (found.axes, found.shape) == ("TCZ", (12, 2, 3))
    counted = [{part[0]: int(part[1:]) for part in file.stem.split("_")} for file in found.files]
    assert [(at["t"], at["c"], at["z"]) for at in counted] == list(
        product(range(12), range(2), range(3))
    )


@pytest.mark.parametrize("pattern", ["x_t{t}.tif", "x-t{t}.tif", "{t}h.tif", "x_t{t:+}.tif"])
def test_times_before_zero_come_first_and_it_is_told(pattern: str) -> None:
    movie = names(pattern, t=range(-11, 4))
    assert stems(movie) == [name.removesuffix(".tif") for name in movie]
    assert axes_of(movie) == ("T", (15,), 1)


def test_planes_below_zero_come_first() -> None:
    movie = names("x_t{t}_z{z}.tif", t=range(3), z=[-1, 0, 1])
    assert axes_of(movie) == ("TZ", (3, 3), 1)
    assert stems(movie)[:3] == ["x_t0_z-1", "x_t0_z0", "x_t0_z1"]


def test_a_dash_that_all_names_have_is_no_minus() -> None:
    movie = names("x-{t}.tif", t=range(1, 4))
    assert (stems(movie), axes_of(movie)[2]) == (["x-1", "x-2", "x-3"], 0)


def test_decimals_of_a_time_are_no_series() -> None:
    movie = names("x_t{t}.{d}.tif", t=range(3), d=[0, 5])
    assert axes_of(movie)[:2] == ("T", (6,))
    assert axes_of(names("x_c{c}.{t:04d}.tif", c=range(2), t=range(3)))[:2] == ("TC", (3, 2))


def test_an_early_time_that_one_channel_lacks_is_not_taken_for_the_last() -> None:
    movie = [name for name in names("x_c{c}_t{t}.tif", c=[1, 2], t=range(6)) if "c1_t2" not in name]
    found = arrange([Path("exp") / name for name in movie])
    assert [file.stem for file in found.files] == [f"x_c2_t{t}" for t in range(6)]
    assert "only 2 is shown" in found.notes[0]


def test_the_first_series_is_the_first_by_its_name() -> None:
    movie = [name for name in names("t{t}_s{s}.tif", t=range(3), s=[1, 2]) if name != "t0_s1.tif"]
    assert stems(movie) == ["t1_s1", "t2_s1"]


def test_images_that_are_there_twice_are_told() -> None:
    assert axes_of(names("x_t{t}_c{c}.tif", t=["1", "01", "2"], c=range(2))) == ("T", (6,), 1)


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
    for clock in ("2024-01-0{d} {h:02d}-00-00.png", "VID5_A1_1_{d:02d}d{h:02d}h00m.png"):
        assert axes_of(names(clock, d=[1, 2], h=range(4))) == ("T", (8,), 0)


@pytest.mark.parametrize(
    "plate",
    [
        names("Exp_Phase_{w}_1_{d:02d}d{h:02d}h00m.tif", w=["A1", "A2", "B1"], d=[0, 1], h=[0, 4]),
        names("Exp_Phase_A1_{s}_{d:02d}d{h:02d}h00m.tif", s=[1, 2, 3], d=[0, 1], h=[0, 4]),
        names("{w}_{t}.png", w=["A1", "B2", "C3"], t=range(4)),
    ],
)
def test_wells_and_the_fields_of_one_are_series(plate: list[str]) -> None:
    assert axes_of(plate) == ("T", (4,), 1)


def test_frames_of_two_cameras_that_could_be_wells_do_not_follow_one_another() -> None:
    assert axes_of(names("{camera}{t}.png", camera="AB", t=range(1, 13))) == ("T", (12,), 1)


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
