from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array
import numpy as np
import pytest
import torch
import zarr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import open_frames

with_zarr_3 = pytest.mark.skipif(
    not hasattr(zarr, "create_array"), reason="zarr 2 writes in another way"
)


def ramp(*shape: int, dtype: str = "uint8") -> NDArray:
    return (np.arange(np.prod(shape)) % 251).reshape(shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "axes", "count"),
    [
        ((7, 20, 30), "TYX", 7),
        ((1, 20, 30), "TYX", 1),
        ((20, 30), "YX", 1),
        ((20, 30, 3), "YXC", 1),
        ((20, 30, 4), "YXC", 1),
        ((7, 20, 30, 3), "TYXC", 7),
        ((7, 20, 30, 1), "TYXC", 7),
        ((7, 3, 20, 30), "TCYX", 7),
        ((7, 2, 20, 30), "TCYX", 7),
    ],
)
def test_axes_are_guessed_from_the_shape_and_told(
    shape: tuple[int, ...], axes: str, count: int
) -> None:
    source = open_frames(ramp(*shape))
    assert (source.axes, source.axes_guessed, len(source)) == (axes, True, count)
    assert (source.height, source.width) == (20, 30)
    assert source[count - 1].image.shape == (20, 30, 3)


@pytest.mark.parametrize(
    "shape",
    [(3, 20, 30), (20, 30, 2), (7, 3, 20, 4), (7, 15, 20, 30), (2, 3, 5, 20, 30), (5,), (1,) * 6],
)
def test_a_shape_with_several_readings_is_refused_with_the_mend(shape: tuple[int, ...]) -> None:
    with pytest.raises(FrameSourceError, match=r"axes=|Take a part"):
        open_frames(ramp(*shape))


def test_axes_in_any_order_give_the_same_frames() -> None:
    movie = ramp(5, 3, 20, 30)
    expected = [frame.image for frame in open_frames(movie, axes="TCYX")]
    for axes in ("CTYX", "YXTC", "XYCT", "TYXC", "CYTX"):
        order = ["TCYX".index(letter) for letter in axes]
        source = open_frames(movie.transpose(order), axes=axes)
        assert not source.axes_guessed
        for k, image in enumerate(expected):
            assert np.array_equal(source[k].image, image), axes


@given(st.permutations("TZCYX"), st.integers(0, 3))
def test_five_named_axes_are_found_wherever_they_are(letters: list[str], z: int) -> None:
    movie = ramp(2, 4, 3, 6, 7)
    source = open_frames(
        movie.transpose(["TZCYX".index(letter) for letter in letters]), axes="".join(letters), z=z
    )
    assert np.array_equal(source[1].image, np.moveaxis(movie[1, z], 0, -1))


def test_colour_passes_unchanged_and_grey_becomes_three_equal_channels() -> None:
    colour, grey = ramp(7, 20, 30, 3), ramp(7, 20, 30)
    assert np.array_equal(open_frames(colour)[4].image, colour[4])
    assert np.array_equal(open_frames(grey)[4].image, np.repeat(grey[4][..., None], 3, -1))


def test_a_frame_can_be_written_to_without_changing_the_movie() -> None:
    movie = ramp(7, 20, 30, 3)
    open_frames(movie)[0].image[...] = 0
    assert movie[0].any()


def test_alpha_is_dropped() -> None:
    movie = ramp(7, 20, 30, 4)
    source = open_frames(movie)
    assert np.array_equal(source[2].image, movie[2, ..., :3])
    assert source.warnings == ()


def test_chosen_channels_become_red_green_and_blue() -> None:
    movie = ramp(7, 5, 20, 30)
    two = open_frames(movie, axes="TCYX", channels=[4, 1])[3].image
    assert np.array_equal(two[..., 0], movie[3, 4])
    assert np.array_equal(two[..., 1], movie[3, 1])
    assert not two[..., 2].any()
    one = open_frames(movie, axes="TCYX", channels=[2])[3].image
    assert np.array_equal(one, np.repeat(movie[3, 2][..., None], 3, -1))


def test_channels_that_are_not_shown_are_told() -> None:
    (warning,) = open_frames(ramp(7, 5, 20, 30), axes="TCYX").warnings
    assert "channels=" in warning


def test_wrong_channels_and_planes_are_refused() -> None:
    movie = ramp(4, 6, 2, 20, 30)
    wrongs: list[dict[str, Any]] = [{"channels": c} for c in ([2], [], [0, 1, 0, 1])]
    for wrong in [*wrongs, {"z": 6}]:
        with pytest.raises(FrameSourceError, match=r"channels=|z="):
            open_frames(movie, axes="TZCYX", **wrong)


def test_of_depth_and_time_the_middle_plane_is_shown_unless_chosen() -> None:
    movie = ramp(4, 5, 20, 30)
    source = open_frames(movie, axes="TZYX")
    assert np.array_equal(source[1].image[..., 0], movie[1, 2])
    assert "z=2" in source.warnings[0]
    chosen = open_frames(movie, axes="TZYX", z=4)
    assert np.array_equal(chosen[1].image[..., 0], movie[1, 4])
    assert chosen.warnings == ()


def test_depth_is_time_where_there_is_no_other() -> None:
    assert len(open_frames(ramp(1, 5, 20, 30), axes="TZYX")) == 5
    assert len(open_frames(ramp(5, 20, 30), axes="ZYX")) == 5
    assert len(open_frames(ramp(5, 20, 30), axes="ZYX", z=3)) == 1


@pytest.mark.parametrize("axes", ["TXX", "TY", "TCYX", "ABC"])
def test_axes_that_do_not_fit_are_refused(axes: str) -> None:
    with pytest.raises(FrameSourceError, match="do not fit"):
        open_frames(ramp(7, 20, 30), axes=axes)


def test_lazy_arrays_are_read_one_frame_at_a_time() -> None:
    movie, read = ramp(50, 20, 30), []

    def load(block: NDArray, block_info: Any = None) -> NDArray:
        if block_info:
            read.append(block_info[0]["chunk-location"][0])
        return block

    lazy = dask.array.from_array(movie, chunks=(1, 20, 30)).map_blocks(load, dtype="uint8")
    source = open_frames(lazy)
    assert np.array_equal(source[31].image[..., 1], movie[31])
    assert read == [31]


@with_zarr_3
def test_zarr_arrays_and_folders_are_read(tmp_path: Path) -> None:
    movie = ramp(7, 20, 30, dtype="uint16")
    array = zarr.create_array(str(tmp_path / "a.zarr"), shape=movie.shape, dtype=movie.dtype)
    array[:] = movie
    for source in (open_frames(array), open_frames(tmp_path / "a.zarr")):
        assert (source.kind, len(source), str(source.dtype)) == ("zarr", 7, "uint16")
        assert np.array_equal(source[5].image, open_frames(movie)[5].image)


@with_zarr_3
def test_an_ome_ngff_image_names_its_axes(tmp_path: Path) -> None:
    movie = ramp(3, 2, 20, 30)
    group = zarr.open_group(str(tmp_path / "i.zarr"), mode="w")
    group.create_array("fine", shape=movie.shape, dtype=movie.dtype)[:] = movie
    group.create_array("coarse", shape=(3, 2, 10, 15), dtype=movie.dtype)
    group.attrs["ome"] = {
        "multiscales": [
            {
                "axes": [{"name": n} for n in "tcyx"],
                "datasets": [{"path": "fine"}, {"path": "coarse"}],
            }
        ]
    }
    source = open_frames(tmp_path / "i.zarr")
    assert (source.axes, source.axes_guessed, len(source)) == ("TCYX", False, 3)
    assert np.array_equal(source[2].image[..., 1], movie[2, 1])


@with_zarr_3
def test_a_zarr_group_with_several_arrays_asks_which(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "g.zarr"), mode="w")
    for name in ("cells", "nuclei"):
        group.create_array(name, shape=(7, 20, 30), dtype="uint8")
    with pytest.raises(FrameSourceError, match="cells, nuclei"):
        open_frames(tmp_path / "g.zarr")
    assert len(open_frames(tmp_path / "g.zarr" / "nuclei")) == 7


def test_a_saved_numpy_array_is_mapped_not_loaded(tmp_path: Path) -> None:
    movie = ramp(7, 20, 30)
    np.save(tmp_path / "movie.npy", movie)
    source = open_frames(str(tmp_path / "movie.npy"))
    assert isinstance(source._array, np.memmap)  # type: ignore[attr-defined]
    assert np.array_equal(source[6].image[..., 0], movie[6])


def test_tensors_and_lists_of_frames_are_movies() -> None:
    movie = ramp(7, 20, 30, 3)
    for source in (open_frames(torch.from_numpy(movie)), open_frames(list(movie))):
        assert len(source) == 7
        assert np.array_equal(source[6].image, movie[6])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_pictures_of_pillow_are_shown_as_in_a_file(tmp_path: Path, mode: str) -> None:
    colours = Image.fromarray(ramp(20, 30, 3))
    picture = Image.fromarray(ramp(20, 30).astype(np.uint16) * 9)
    picture = picture if mode == "I;16" else colours.convert("RGB" if mode == "P" else mode)
    picture = picture.convert("P", palette=Image.Palette.ADAPTIVE) if mode == "P" else picture
    picture.save(tmp_path / "m.tif")
    shown = open_frames(tmp_path / "m.tif")[0].image
    for source in (open_frames(picture), open_frames([picture, picture])):
        assert np.array_equal(source[0].image, shown)


def test_a_list_of_frames_of_different_sizes_is_refused() -> None:
    with pytest.raises(FrameSourceError, match="differ in size"):
        open_frames([ramp(20, 30), ramp(20, 31)])


@pytest.mark.parametrize("other", [np.uint16, np.float32])
def test_a_list_of_frames_of_several_types_shows_all_of_them_and_tells(other: type) -> None:
    movie = ramp(3, 20, 30)
    source = open_frames([movie[0], *movie[1:].astype(other)], limits=(0, 255))
    assert [np.array_equal(f.image[..., 0], movie[f.index]) for f in source] == [True] * 3
    assert {f.image.dtype for f in source} == {np.dtype(np.uint8)}
    assert "number 0 is of uint8" in source.warnings[0]


def test_grey_colour_and_alpha_may_mix_in_a_list_of_frames() -> None:
    grey = ramp(20, 30)
    colour = np.repeat(grey[..., None], 3, axis=-1)
    source = open_frames([grey, colour, np.dstack([colour, np.full_like(grey, 255)])])
    assert all(np.array_equal(frame.image, colour) for frame in source)


@pytest.mark.parametrize("mode", ["P", "PA", "CMYK", "YCbCr", "HSV", "LA", "RGBA", "L", "1"])
def test_pictures_of_pillow_are_what_they_show(mode: str) -> None:
    colours = np.zeros((20, 30, 3), np.uint8)
    colours[5:15, 5:15], colours[:, 20:] = (200, 30, 60), (10, 220, 90)
    picture = Image.fromarray(colours).convert(mode)
    shown = np.asarray(picture.convert("RGB"))
    for source in ([picture, picture], (one for one in [picture]), picture):
        assert np.array_equal(open_frames(source)[0].image, shown)


def test_a_stack_that_pillow_opened_is_not_its_first_picture(tmp_path: Path) -> None:
    pages = [Image.new("L", (30, 20), value) for value in (1, 2, 3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    told = pytest.raises(FrameSourceError, match="this file has 3: give its path")
    with Image.open(tmp_path / "a.tif") as stack, told:
        open_frames(stack)


def test_time_follows_the_rate_or_counts_seconds() -> None:
    movie = ramp(7, 20, 30)
    assert open_frames(movie)[3].time == 3.0
    assert open_frames(movie).fps is None
    rated = open_frames(movie, fps=2)
    assert rated[3].time == 1.5
    assert rated.times.tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]


def test_an_empty_array_is_refused() -> None:
    with pytest.raises(FrameSourceError, match="empty"):
        open_frames(np.zeros((0, 20, 30), np.uint8))


@pytest.mark.parametrize(
    "tensor",
    [
        lambda values: torch.tensor(values, requires_grad=True),
        lambda values: torch.tensor(values).to(torch.bfloat16),
    ],
    ids=["with a gradient", "bfloat16"],
)
def test_tensors_of_any_kind_are_read(tensor: Any) -> None:
    values = ramp(5, 12, 16, dtype="float32") / 256
    whole = tensor(values)
    for source in (whole, list(whole), iter(whole)):
        image = open_frames(source, limits=(0, 1))[4].image
        assert np.abs(image[..., 0] / 255 - values[4]).max() < 0.01


def test_tensors_of_channels_first_are_frames_in_a_list_too() -> None:
    pictures = torch.tensor(ramp(5, 3, 12, 16))
    shown = open_frames(list(pictures))
    assert (shown.length, shown.height, shown.width) == (5, 12, 16)
    assert np.array_equal(shown[3].image, np.moveaxis(pictures[3].numpy(), 0, -1))


def test_a_list_of_movies_is_no_movie() -> None:
    with pytest.raises(FrameSourceError, match="several ways"):
        open_frames([ramp(6, 12, 16), ramp(6, 12, 16)])


def test_what_numpy_cannot_hold_is_named() -> None:
    with pytest.raises(FrameSourceError, match=r"Tensor cannot be read as frames: .*to_dense"):
        open_frames(torch.tensor(ramp(5, 12, 16)).to_sparse())
    lazy = dask.array.from_array(ramp(5, 12, 16))
    with pytest.raises(FrameSourceError, match="compute_chunk_sizes"):
        open_frames(lazy[lazy.mean(axis=(1, 2)) > 3])


def test_one_channel_may_be_told_by_its_number() -> None:
    movie = ramp(5, 12, 16, 3)
    assert np.array_equal(open_frames(movie, channels=1)[2].image[..., 0], movie[2, ..., 1])


def test_limits_without_end_are_refused() -> None:
    with pytest.raises(FrameSourceError, match="make no range"):
        open_frames(ramp(5, 12, 16), limits=(0, float("inf")))


class Named:
    """An array whose axes have names, as xarray's have."""

    def __init__(self, values: NDArray, dims: tuple[str, ...]) -> None:
        self.values, self.dims = values, dims
        self.shape, self.dtype = values.shape, values.dtype

    def __getitem__(self, key: Any) -> NDArray:
        return self.values[key]


def test_axes_that_have_names_are_not_guessed() -> None:
    movie = ramp(6, 12, 16)
    shown = open_frames(Named(np.moveaxis(movie, 0, -1), ("y", "x", "time")))
    assert (shown.axes, shown.axes_guessed) == ("YXT", False)
    assert np.array_equal(shown[4].image[..., 0], movie[4])
    assert open_frames(Named(movie, ("dim_0", "dim_1", "dim_2"))).axes_guessed


@with_zarr_3
def test_a_zarr_array_in_memory_names_its_axes_too() -> None:
    movie = ramp(3, 12, 16)
    array = zarr.create_array(
        zarr.storage.MemoryStore(), data=movie, dimension_names=("time", "y", "x")
    )
    assert open_frames(array).axes == "TYX"
