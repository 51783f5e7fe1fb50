from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.frames._video import FrameCache, VideoSource
from tests.core.frames.movies import HEIGHT, WIDTH, cut, numbered, read_number, write_movie

CONTAINERS = ["mp4", "mov", "mkv", "avi", "ts", "mpg", "flv", "h264"]


def open_video(path: Path) -> VideoSource:
    source = open_frames(path)
    assert isinstance(source, VideoSource)
    return source


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_movie(tmp_path_factory.mktemp("movies") / "movie.mp4")


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_gives_the_right_frame_in_any_order(tmp_path: Path, suffix: str) -> None:
    codec = "mpeg2video" if suffix == "mpg" else "libx264"
    path = write_movie(tmp_path / f"movie.{suffix}", codec=codec)
    forward = [read_number(frame.image) for frame in open_video(path)]
    assert forward == list(range(40))
    source = open_video(path)
    order = np.random.default_rng(0).permutation(40).tolist()
    assert [read_number(source[k].image) for k in order] == order
    source = open_video(path)
    assert [read_number(source[k].image) for k in reversed(range(40))] == forward[::-1]


@given(order=st.lists(st.integers(0, 39), max_size=30))
def test_any_order_of_reading_gives_the_frames_asked_for(movie: Path, order: list[int]) -> None:
    with open_video(movie) as source:
        assert [read_number(source[k].image) for k in order] == order
        assert [source[k].index for k in order] == order


def test_open_groups_of_pictures_are_read_right_after_a_jump(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "open.mp4", options={"x264-params": "open-gop=1:keyint=12"})
    for k in range(40):
        assert read_number(open_video(path)[k].image) == k


def test_reading_forward_decodes_each_frame_once_and_never_seeks(movie: Path) -> None:
    source = open_video(movie)
    assert [frame.index for frame in source] == list(range(40))
    assert (source.cost.seeks, source.cost.decoded) == (0, 40)


def test_reading_backward_decodes_each_group_of_pictures_about_once(movie: Path) -> None:
    source = open_video(movie)
    for k in reversed(range(40)):
        assert read_number(source[k].image) == k
    assert source.cost.decoded < 2 * 40


def test_jumping_forward_decodes_from_the_keyframe_before(movie: Path) -> None:
    source = open_video(movie)
    assert read_number(source[38].image) == 38
    assert source.cost.seeks == 1
    assert source.cost.decoded <= 1 + 12


def test_reading_forward_keeps_few_frames(movie: Path) -> None:
    source = open_video(movie)
    for _ in source:
        assert len(source._cache) <= 8


def test_the_cache_is_bounded_in_bytes_and_drops_the_oldest_first() -> None:
    frame = av.VideoFrame.from_ndarray(numbered(0), "rgb24")
    size = sum(plane.buffer_size for plane in frame.planes)
    cache = FrameCache(3 * size)
    for k in range(5):
        cache.add(k, frame, None)
    assert cache.bytes == 3 * size
    assert [k for k in range(5) if cache.get(k)] == [2, 3, 4]
    cache.get(2)
    cache.add(5, frame, None)
    assert [k for k in range(6) if cache.get(k)] == [2, 4, 5]


def test_variable_frame_times_are_those_of_the_file(tmp_path: Path) -> None:
    ticks = [0, 1, 3, 4, 8, 9, 14, 20]
    source = open_video(write_movie(tmp_path / "vfr.mp4", 8, ticks=ticks))
    assert np.allclose(source.times, np.array(ticks) / 25)
    assert [frame.time for frame in source] == pytest.approx(source.times.tolist())
    assert source.fps == pytest.approx(7 / (20 / 25))


@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_a_late_start_moves_no_index_and_is_told_as_start_time(tmp_path: Path, suffix: str) -> None:
    path = write_movie(tmp_path / f"late.{suffix}", 20, ticks=range(50, 70))
    source = open_video(path)
    assert [read_number(source[k].image) for k in (19, 0, 7)] == [19, 0, 7]
    assert source.times[0] == 0
    assert source[5].time == pytest.approx(0.2)
    assert source.start_time >= 2.0
    assert source.warnings == ()


@pytest.mark.parametrize("keyframes", ["scenecut=0", "keyint=5"])
def test_frames_that_an_edit_list_hides_are_not_counted(tmp_path: Path, keyframes: str) -> None:
    options = {"x264-params": keyframes}
    whole = write_movie(tmp_path / "whole.mp4", 24, gop=24, b_frames=0, options=options)
    trimmed = tmp_path / "trimmed.mp4"
    with av.open(str(whole)) as old, av.open(str(trimmed), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.pts is not None and packet.dts is not None and packet.duration:
                packet.pts -= 5 * packet.duration
                packet.dts -= 5 * packet.duration
                packet.stream = stream
                new.mux(packet)
    source = open_video(trimmed)
    assert source.warnings == ()
    assert len(source) == 19
    assert [read_number(source[k].image) for k in (18, 0, 9)] == [23, 5, 14]


def with_matrix(path: Path, matrix: Sequence[int]) -> Path:
    """Write another display matrix into the header of a track of an MP4."""
    content = bytearray(path.read_bytes())
    start = content.find(b"tkhd") + 8 + 20 + 16
    content[start : start + 36] = struct.pack(">9i", *matrix)
    changed = path.with_name("matrix.mp4")
    changed.write_bytes(content)
    return changed


ONE = 1 << 16


@pytest.mark.parametrize(
    ("abcd", "shown"),
    [
        ((1, 0, 0, 1), lambda i: i),
        ((-1, 0, 0, -1), lambda i: i[::-1, ::-1]),
        ((0, 1, -1, 0), lambda i: i.swapaxes(0, 1)[:, ::-1]),
        ((0, -1, 1, 0), lambda i: i.swapaxes(0, 1)[::-1]),
        ((-1, 0, 0, 1), lambda i: i[:, ::-1]),
        ((1, 0, 0, -1), lambda i: i[::-1]),
        ((0, 1, 1, 0), lambda i: i.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda i: i.swapaxes(0, 1)[::-1, ::-1]),
    ],
)
def test_frames_are_turned_and_mirrored_as_players_show_them(
    movie: Path, abcd: tuple[int, ...], shown: Callable[[NDArray], NDArray]
) -> None:
    a, b, c, d = (ONE * value for value in abcd)
    path = with_matrix(movie, (a, b, 0, c, d, 0, 0, 0, 1 << 30))
    source = open_video(path)
    wanted = shown(open_video(movie)[7].image)
    assert np.array_equal(source[7].image, wanted)
    assert (source.height, source.width) == wanted.shape[:2]
    assert source.mirrored == (abcd[0] * abcd[3] - abcd[1] * abcd[2] < 0)


@pytest.mark.parametrize("pix_fmt", ["gray16le", "gbrp16le"])
def test_what_a_camera_measured_keeps_its_bits(tmp_path: Path, pix_fmt: str) -> None:
    ramp = np.tile(np.linspace(0, 4095, WIDTH).astype(np.uint16), (HEIGHT, 1))
    with av.open(str(tmp_path / "m.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        for _ in range(3):
            colours = np.stack([ramp] * 3, -1)
            frame = av.VideoFrame.from_ndarray(colours, "rgb48le").reformat(format=pix_fmt)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    source = open_video(tmp_path / "m.mkv")
    assert source.dtype == np.uint16
    shown = source[1].image[0]
    assert shown.max() == 255
    assert len(np.unique(shown[:, 0])) > 90


def test_pixels_that_are_not_square_are_told(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "wide.mp4", 3, aspect=Fraction(16, 11))
    source = open_video(path)
    assert (source.height, source.width) == (HEIGHT, WIDTH)
    assert "not square (16:11)" in source.warnings[0]


def test_frames_of_another_size_are_scaled_and_told(tmp_path: Path) -> None:
    first = write_movie(tmp_path / "a.h264", 6)
    second = write_movie(tmp_path / "b.h264", 6, scale=2)
    path = tmp_path / "both.h264"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    source = open_video(path)
    frames = list(source)
    assert {frame.image.shape for frame in frames} == {(HEIGHT, WIDTH, 3)}
    assert [read_number(frame.image) for frame in frames] == [*range(6), *range(6)]
    assert any("6 of the frames read are of another size" in told for told in source.warnings)


def test_rotation_is_applied(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "turned.mp4", 3, rotation=90)
    source = open_video(path)
    assert source.rotation == 90
    assert (source.height, source.width) == (WIDTH, HEIGHT)
    image = source[2].image
    assert image.shape == (WIDTH, HEIGHT, 3)
    assert read_number(np.rot90(image, -1)) == 2


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p", "yuv422p"])
def test_other_pixel_formats_become_rgb_of_the_same_brightness(
    tmp_path: Path, pix_fmt: str
) -> None:
    path = write_movie(tmp_path / "other.mkv", 5, pix_fmt=pix_fmt, options={"crf": "1"})
    for k, frame in enumerate(open_video(path)):
        difference = np.abs(frame.image.astype(int) - numbered(k)).mean()
        assert difference < 3


def test_eight_bit_grey_keeps_its_values(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "grey.mkv", 5, codec="ffv1", pix_fmt="gray", b_frames=0)
    assert np.array_equal(open_video(path)[3].image, numbered(3))


def test_sixteen_bit_grey_is_stretched_by_one_rule_for_the_movie(tmp_path: Path) -> None:
    path = tmp_path / "deep.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "gray16le"
        for k in range(4):
            values = np.full((24, 32), 1000 + 100 * k, np.uint16)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, "gray16le")))
        container.mux(stream.encode())
    source = open_video(path)
    assert source.dtype == np.uint16
    assert [int(frame.image.max()) for frame in source] == [0, 85, 170, 255]


def test_the_video_stream_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for k in range(10):
            for first, stream in zip((0, 100), streams, strict=True):
                frame = av.VideoFrame.from_ndarray(numbered(first + k), "rgb24")
                frame.pts, frame.time_base = k, Fraction(1, 25)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())
    assert read_number(open_frames(path)[7].image) == 7
    assert read_number(open_frames(path, stream=1)[7].image) == 107
    assert len(open_frames(path, stream=1)) == 10
    with pytest.raises(FrameSourceError, match=r"2 video streams.*stream="):
        open_frames(path, stream=2)


def test_another_frame_rate_can_be_imposed(movie: Path) -> None:
    source = open_frames(movie, fps=5)
    assert source.fps == 5
    assert source[10].time == pytest.approx(2.0)


@pytest.mark.parametrize(("container", "share"), [("mp4", 0.6), ("mkv", 0.6), ("avi", 0.85)])
def test_of_a_file_cut_short_what_decodes_is_used_and_the_loss_told(
    tmp_path: Path, container: str, share: float
) -> None:
    early_index = {"movflags": "faststart"} if container == "mp4" else {}
    options = {"x264-params": "scenecut=0"}
    path = cut(
        write_movie(tmp_path / f"m.{container}", options=options, container_options=early_index),
        share,
    )
    source = open_video(path)
    assert 5 < len(source) < 40
    assert any("header promises" in warning for warning in source.warnings)
    order = np.random.default_rng(1).permutation(len(source) - 1).tolist()
    assert [read_number(source[k].image) for k in order] == order
    assert len(list(source)) == len(source)


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        *(("mxf", "mpeg2video"), ("mpg", "mpeg2video"), ("flv", "flv"), ("wmv", "wmv2")),
        *(("ogv", "libvpx"), ("mkv", "libx264")),
    ],
)
def test_of_a_file_cut_short_by_a_frame_the_loss_is_told(
    tmp_path: Path, container: str, codec: str
) -> None:
    path = write_movie(tmp_path / f"m.{container}", codec=codec, b_frames=0, gop=1, scale=5)
    assert open_frames(path).warnings == ()
    lengths = []
    for share in (0.51, 0.9, 0.93, 0.955):
        source = open_frames(cut(path, share))
        lengths.append(len(source))
        assert len(source) == 40 or source.warnings, share
    assert min(lengths) < 40


@pytest.mark.parametrize("kept", [5, 16, 17])
def test_a_recording_in_mxf_that_ends_within_a_key_is_told_to_be_cut(
    tmp_path: Path, kept: int
) -> None:
    path = write_movie(tmp_path / "m.mxf", codec="mpeg2video", b_frames=0, gop=1)
    content = bytearray(path.read_bytes())
    content[44:52] = bytes(8)  # where the footer is, which a recorder writes at the end
    path.write_bytes(content[: content.rindex(b"\x06\x0e\x2b\x34\x01\x02\x01\x01") + kept])
    assert "The file ends earlier than its container declares: it is cut off." in (
        open_frames(path).warnings
    )


def test_an_mp4_without_its_index_is_refused_with_the_mend(movie: Path, tmp_path: Path) -> None:
    path = tmp_path / "headless.mp4"
    path.write_bytes(movie.read_bytes()[:-2000])
    with pytest.raises(FrameSourceError, match=r"headless\.mp4 cannot be read.*copy it again"):
        open_frames(path)


def test_an_mp4_that_ends_within_its_index_is_told_to_be_cut_off(
    movie: Path, tmp_path: Path
) -> None:
    content = movie.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(content[: content.index(b"moov") + 200])
    with pytest.raises(FrameSourceError, match=r"cut\.mp4 has neither .* cut off.*again"):
        open_frames(path)


def test_a_header_that_lies_about_the_count_is_found_out(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "liar.avi", codec="mpeg4", b_frames=0)
    content = bytearray(path.read_bytes())
    length = content.index(b"strh") + 8 + 32  # AVISTREAMHEADER.dwLength
    assert int.from_bytes(content[length : length + 4], "little") == 40
    content[length : length + 4] = (90).to_bytes(4, "little")
    path.write_bytes(content)
    source = open_video(path)
    assert len(source) == 40
    assert source.warnings == ("The header promises 90 frames, the file holds 40.",)
    assert [read_number(source[k].image) for k in (39, 3)] == [39, 3]


@pytest.mark.parametrize(("codec", "pix_fmt"), [("mjpeg", "yuvj420p"), ("png", "rgb24")])
def test_a_frame_that_does_not_decode_is_stood_in_for_and_told(
    tmp_path: Path, codec: str, pix_fmt: str
) -> None:
    path = write_movie(tmp_path / "rot.mov", codec=codec, pix_fmt=pix_fmt, b_frames=0)
    with av.open(str(path)) as container:
        packet = next(p for k, p in enumerate(container.demux(video=0)) if k == 20)
        content = bytes(packet)
    whole = path.read_bytes()
    assert whole.count(content) == 1
    path.write_bytes(whole.replace(content, bytes(len(content))))
    forward = open_video(path)
    assert len(forward) == 40
    numbers = [read_number(frame.image) for frame in forward]
    assert numbers == [*range(20), 19, *range(21, 40)]
    assert "1 of the frames read do not decode" in forward.warnings[0]
    backward = open_video(path)
    assert read_number(backward[20].image) == 19
    decoded = backward.cost.decoded
    assert read_number(backward[20].image) == 19
    assert backward.cost.decoded == decoded


def test_several_threads_read_the_frames_they_ask_for(movie: Path) -> None:
    source = open_video(movie)
    wrong: list[int] = []

    def read(seed: int) -> None:
        for k in np.random.default_rng(seed).integers(0, 40, 20).tolist():
            if read_number(source[k].image) != k:
                wrong.append(k)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_indices_outside_the_movie_are_index_errors(movie: Path) -> None:
    source = open_video(movie)
    for index in (40, -1):
        with pytest.raises(IndexError, match="frames 0 to 39"):
            source[index]


def test_closing_releases_the_file_and_reading_on_says_so(tmp_path: Path) -> None:
    movie = write_movie(tmp_path / "movie.mp4", 4)
    with open_video(movie) as source:
        image = source[0].image
        open_files = {fd.resolve() for fd in Path("/proc/self/fd").iterdir() if fd.exists()}
        assert movie.resolve() in open_files
    open_files = {fd.resolve() for fd in Path("/proc/self/fd").iterdir() if fd.exists()}
    assert movie.resolve() not in open_files
    assert read_number(image) == 0
    with pytest.raises(FrameSourceError, match="was closed"):
        source[1]


def test_a_file_that_is_no_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(FrameSourceError, match=r"noise\.mp4 cannot be read as a video"):
        open_frames(path)


def test_a_file_with_sound_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(FrameSourceError, match="no video stream"):
        open_frames(path)


def test_changing_picture_sizes_are_brought_to_the_first(tmp_path: Path) -> None:
    path = tmp_path / "sizes.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        larger = av.VideoCodecContext.create("mjpeg", "w")
        larger.width, larger.height, larger.pix_fmt = 2 * WIDTH, 2 * HEIGHT, "yuvj420p"
        larger.time_base = Fraction(1, 25)
        for k in range(10):
            scale, encoder = (1, stream) if k < 5 else (2, larger)
            image = numbered(k).repeat(scale, 0).repeat(scale, 1)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            for packet in encoder.encode(frame):
                packet.stream = stream
                container.mux(packet)
    images = [frame.image for frame in open_video(path)]
    assert {image.shape for image in images} == {(HEIGHT, WIDTH, 3)}
    assert [read_number(image) for image in images] == list(range(10))


def test_pictures_with_exif_in_a_video_are_turned_as_they_say(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    images = [Image.new("RGB", (WIDTH, HEIGHT), (50 * k,) * 3) for k in range(3)]
    with (tmp_path / "m.mjpeg").open("wb") as file:
        for image in images:
            image.save(file, format="JPEG", exif=exif)
    source = open_frames(tmp_path / "m.mjpeg")
    assert (source.height, source.width, source.rotation) == (WIDTH, HEIGHT, 270)
    assert [round(float(frame.image.mean())) for frame in source] == [0, 50, 100]
