"""Real videos, each with something that is easily got wrong."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.frames._video import VideoSource

COUNTS = {
    "bedroom.mp4": 200,
    "02_hummingbird.mp4": 176,
    "h265_10bits.mp4": 30,
    "video_270.mov": 3,
    "big_buck_bunny_432_433.webm": 24,
    "vfr_bframes_blackswan.mp4": 30,
}
QUICK = ["h265_10bits.mp4", "video_270.mov", "vfr_bframes_blackswan.mp4"]


def thumbnail(image: NDArray) -> NDArray[np.uint8]:
    return image[::5, ::5].copy()


def check_random_access(path: Path) -> None:
    source = open_frames(path)
    assert isinstance(source, VideoSource)
    forward = [thumbnail(frame.image) for frame in source]
    assert len(forward) == COUNTS[path.name] == len(source)
    assert (source.cost.seeks, source.cost.decoded) == (0, len(forward))
    assert source.warnings == ()
    source = open_frames(path)
    for k in np.random.default_rng(0).permutation(len(forward)).tolist():
        assert np.array_equal(thumbnail(source[k].image), forward[k]), k


@pytest.mark.parametrize("name", QUICK)
def test_random_access_equals_reading_forward(shared_data: Path, name: str) -> None:
    check_random_access(shared_data / "videos" / name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(COUNTS) - set(QUICK)))
def test_random_access_equals_reading_forward_in_long_videos(shared_data: Path, name: str) -> None:
    check_random_access(shared_data / "videos" / name)


@pytest.mark.slow
def test_reading_a_single_long_group_of_pictures_backward_is_not_quadratic(
    shared_data: Path,
) -> None:
    source = open_frames(shared_data / "videos" / "02_hummingbird.mp4")
    assert isinstance(source, VideoSource)
    for k in reversed(range(len(source))):
        assert source[k].index == k
    assert source.cost.decoded < 3 * len(source)


def test_frames_and_masks_of_a_variable_rate_video_belong_together(shared_data: Path) -> None:
    source = open_frames(shared_data / "videos" / "vfr_bframes_blackswan.mp4")
    originals = open_frames(shared_data / "davis_blackswan" / "frames")
    expected = np.stack([thumbnail(frame.image) for frame in originals]).astype(np.int16)
    for k in range(len(source)):
        difference = np.abs(expected - thumbnail(source[k].image)).mean(axis=(1, 2, 3))
        assert int(difference.argmin()) == k


def test_variable_frame_times_are_those_listed(shared_data: Path) -> None:
    facts = json.loads((shared_data / "videos" / "videos.json").read_text())
    (listed,) = [f["frame_times_ms"] for f in facts if "frame_times_ms" in f]
    source = open_frames(shared_data / "videos" / "vfr_bframes_blackswan.mp4")
    assert np.allclose(source.times * 1000, listed)
    assert [round(source[k].time * 1000) for k in (29, 3)] == [listed[29], listed[3]]


def test_a_turned_video_is_upright(shared_data: Path) -> None:
    path = shared_data / "videos" / "video_270.mov"
    source = open_frames(path)
    assert (source.height, source.width, source.rotation) == (568, 320, 90)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.array_equal(source[0].image, np.rot90(stored))


def test_ten_bit_video_keeps_its_brightness(shared_data: Path) -> None:
    path = shared_data / "videos" / "h265_10bits.mp4"
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "yuv420p10le"
        rows = np.frombuffer(frame.planes[0], "<u2").reshape(frame.height, -1)
        luma = rows[:, : frame.width].astype(float) / 4
    image = open_frames(path)[0].image.astype(float)
    brightness = image @ [0.299, 0.587, 0.114]
    expected = np.clip((luma - 16) * 255 / 219, 0, 255)
    assert np.abs(brightness - expected).mean() < 4


def test_the_original_film_of_a_sequence_is_its_frames(shared_data: Path) -> None:
    folder = shared_data / "davis17_dogs-jump"
    film, images = open_frames(folder / "video.mp4"), open_frames(folder / "frames")
    assert len(film) == len(images) == 66
    for k in (40, 0, 65):
        difference = np.abs(film[k].image.astype(int) - images[k].image).mean()
        assert difference < 3
