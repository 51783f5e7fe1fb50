from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sam2_plugins.core.frames._video_index import build_index, index_of, is_hidden_vp8
from tests.core.frames.movies import cut, write_movie


def test_hidden_reference_frames_of_vp8_are_told_by_their_first_byte() -> None:
    shown_key, hidden_inter = b"\x10", b"\x01"
    assert not is_hidden_vp8(shown_key)
    assert is_hidden_vp8(hidden_inter)
    assert not is_hidden_vp8(b"")


def test_the_index_is_in_presentation_order_despite_b_frames(tmp_path: Path) -> None:
    index = build_index(write_movie(tmp_path / "m.mp4", b_frames=3), None)
    assert index.pts is not None
    assert np.all(np.diff(index.pts) > 0)
    assert np.allclose(index.times, np.arange(40) / 25)
    assert set(index.keys) <= set(index.pts)


def test_a_raw_stream_without_timestamps_is_indexed_by_counting(tmp_path: Path) -> None:
    index = build_index(write_movie(tmp_path / "m.h264"), None)
    assert index.pts is None
    assert len(index.times) == 40
    assert index.warnings == ()


def test_a_rounded_clock_does_not_change_the_declared_rate(tmp_path: Path) -> None:
    index = build_index(write_movie(tmp_path / "m.mkv", 20, rate=30), None)
    assert index.times[1] == pytest.approx(0.033, abs=1e-9)
    assert index.fps == 30


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [
        ("m.mkv", "ffv1", "gray"),
        ("m.webm", "libvpx-vp9", "yuv420p"),
        ("m.ts", "mpeg2video", "yuv420p"),
        ("m.gif", "gif", "gray"),
        ("m.mp4", "libx264", "yuv420p"),
    ],
)
def test_a_film_that_lacks_its_last_frames_is_told_to_be_cut_off(
    tmp_path: Path, name: str, codec: str, form: str
) -> None:
    fragments = {"movflags": "frag_every_frame+empty_moov"} if name == "m.mp4" else None
    path = write_movie(
        tmp_path / name, 6, codec=codec, pix_fmt=form, b_frames=0, container_options=fragments
    )
    assert build_index(path, None).warnings == ()
    assert "cut off" in " ".join(build_index(cut(path, 0.8), None).warnings)


@pytest.mark.parametrize("options", [{}, {"live": "1"}], ids=["whole", "streamed"])
def test_a_matroska_film_that_is_damaged_in_its_middle_is_told(
    tmp_path: Path, options: dict[str, str]
) -> None:
    options = {"cluster_time_limit": "200", **options}
    path = write_movie(tmp_path / "m.mkv", 40, b_frames=0, container_options=options)
    assert build_index(path, None).warnings == ()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 500] = bytes(500)
    path.write_bytes(content)
    index = build_index(path, None)
    assert len(index.times) < 40
    assert "damaged in its middle: frames may be missing" in " ".join(index.warnings)


def test_a_file_is_indexed_once_until_it_changes(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "m.mp4", 6)
    index = index_of(path, None)
    assert index_of(path, None) is index
    assert not index.times.flags.writeable
    write_movie(path, 9)
    assert len(index_of(path, None).times) == 9
