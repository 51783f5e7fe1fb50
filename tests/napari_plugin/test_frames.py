from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from napari.layers import Image

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.napari_plugin.layers.frames import (
    Line,
    View,
    default_axis,
    leading_shape,
    shown_index,
)


def ramp(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return (np.arange(np.prod(shape)) % 4000).reshape(shape).astype(dtype)


def red(data: Any, line: Line, frame: int, **options: Any) -> np.ndarray:
    """What the model sees of a layer, first channel."""
    layer = Image(data, **options)
    with View.of([layer]).open(line) as frames:
        return frames[frame].image[..., 0]


def test_a_line_goes_along_one_axis_with_the_others_fixed() -> None:
    line = Line.through(0, (3, 5))
    assert line == Line.through(0, (7, 5)) != Line.through(0, (3, 4))
    assert line.index(2) == (2, 5)
    assert (line.frame((9, 5)), line.frame((9, 4))) == (9, None)
    single = Line.through(None, ())
    assert (single.index(0), single.frame(())) == ((), 0)


@pytest.mark.parametrize(
    ("shape", "axis", "step", "frame", "index"),
    [
        ((6, 20, 30), 0, (0,), 4, (4,)),
        ((6, 3, 20, 30), 0, (0, 2), 4, (4, 2)),
        ((6, 3, 20, 30), 1, (5, 0), 1, (5, 1)),
        ((20, 30), None, (), 0, ()),
    ],
)
def test_time_planes_and_single_images_are_frames(
    shape: tuple[int, ...], axis: int | None, step: tuple[int, ...], frame: int, index: Any
) -> None:
    data = ramp(*shape)
    line = Line.through(axis, step)
    seen = red(data, line, frame, contrast_limits=(0, 4000))
    assert np.array_equal(seen, np.rint(data[index] * (255 / 4000)))


def test_the_model_sees_the_contrast_that_the_person_sees() -> None:
    data = ramp(2, 20, 30)
    seen = red(data, Line(0, (0,)), 0, contrast_limits=(100, 300))
    assert seen[data[0] <= 100].max() == 0
    assert seen[data[0] >= 300].min() == 255


def test_the_movies_percentiles_may_be_taken_instead() -> None:
    data = ramp(2, 20, 30)
    layer = Image(data, contrast_limits=(100, 300))
    assert View.of([layer], "movie").limits is None
    assert View.of([layer]) != View.of([layer], "movie")


@pytest.mark.parametrize("kind", ["dask", "zarr", "multiscale", "float", "uint8"])
def test_any_array_gives_the_same_frames(kind: str) -> None:
    data = ramp(3, 32, 48) % 200
    arrays: dict[str, Any] = {
        "dask": da.from_array(data, chunks=(1, 32, 48)),
        "zarr": zarr.array(data, chunks=(1, 32, 48)),
        "multiscale": [data, data[:, ::2, ::2]],
        "float": data.astype("float32"),
        "uint8": data.astype("uint8"),
    }
    line = Line(0, (0,))
    seen = red(arrays[kind], line, 2, contrast_limits=(0, 200), multiscale=kind == "multiscale")
    assert np.array_equal(seen, red(data, line, 2, contrast_limits=(0, 200)))


def test_only_the_frame_that_is_asked_for_is_loaded() -> None:
    loaded: list[Any] = []

    def load(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        if block_info:
            loaded.append(block_info[0]["chunk-location"][0])
        return block

    lazy = da.zeros((2000, 64, 64), chunks=(1, 64, 64), dtype="uint8").map_blocks(load)
    layer = Image(lazy, contrast_limits=(0, 255))
    loaded.clear()
    with View.of([layer]).open(Line(0, (0,))) as frames:
        assert frames.length == 2000
        assert frames[1234].image.shape == (64, 64, 3)
    assert loaded == [1234]


def test_two_channel_layers_are_red_and_green() -> None:
    one, two = Image(ramp(2, 8, 9), name="a"), Image(ramp(2, 8, 9) // 2, name="b")
    for layer in (one, two):
        layer.contrast_limits = (0, 144)
    with View.of([one, two]).open(Line(0, (0,))) as frames:
        image = frames[0].image
    assert not image[..., 2].any()
    assert image[..., 0].mean() > 1.8 * image[..., 1].mean() > 0


def test_rgb_is_taken_as_it_is() -> None:
    data = np.random.default_rng(0).integers(0, 255, (3, 8, 9, 3), dtype=np.uint8)
    layer = Image(data, rgb=True)
    assert leading_shape(layer) == (3,)
    with View.of([layer]).open(Line(0, (0,))) as frames:
        assert np.array_equal(frames[2].image, data[2])


def test_channels_that_do_not_fit_are_refused() -> None:
    grey, large = Image(ramp(2, 8, 9), name="grey"), Image(ramp(3, 8, 9), name="large")
    color = Image(np.zeros((2, 8, 9, 3), np.uint8), name="color", rgb=True)
    for layers, named in (
        ([], "choose an image"),
        ([grey] * 4, "up to three"),
        ([grey, large], "large is"),
        ([grey, color], "alone"),
    ):
        with pytest.raises(FrameSourceError, match=named):
            View.of(layers)


def test_time_is_found_by_its_name_or_is_the_first_long_axis() -> None:
    data = ramp(1, 4, 5, 8, 9)
    assert default_axis(Image(data), ("c", "z", "T", "y", "x")) == 2
    assert default_axis(Image(data), ("a", "b", "c", "y", "x")) == 1
    assert default_axis(Image(data[0, 0, 0])) is None


def test_the_shown_frame_is_found_among_the_viewers_axes() -> None:
    layer = Image(ramp(6, 3, 20, 30))
    assert shown_index(layer, (9, 5, 2, 0, 0)) == (5, 2)
    assert shown_index(layer, (9, 7, 2, 0, 0)) == (5, 2)
    assert shown_index(layer, (2, 0, 0)) == (0, 2)
    assert shown_index(layer, (0, 0)) == (0, 0)
