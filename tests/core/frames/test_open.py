from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import open_frames, probe
from tests.core.frames.movies import write_movie


def test_a_source_is_returned_as_it_is() -> None:
    source = open_frames(np.zeros((2, 20, 30), np.uint8))
    assert open_frames(source) is source


@pytest.mark.parametrize(
    "option",
    [
        {"channels": 0},
        {"limits": np.array([0, 9])},
        {"percentiles": (1, 99)},
        {"fps": 2},
        {"axes": "TYX"},
    ],
    ids=str,
)
def test_an_option_that_comes_too_late_is_refused(option: dict[str, Any]) -> None:
    source = open_frames(np.zeros((2, 20, 30), np.uint8))
    with pytest.raises(FrameSourceError, match=f"open already: give {next(iter(option))} where"):
        open_frames(source, **option)


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(FrameSourceError, match=r"no file or folder .*missing\.mp4"):
        open_frames(tmp_path / "missing.mp4")


def test_things_without_frames_are_refused() -> None:
    with pytest.raises(FrameSourceError, match="A int has no frames"):
        open_frames(7)
    with pytest.raises(FrameSourceError, match="list of frames is empty"):
        open_frames([])


@pytest.mark.parametrize(
    ("name", "option"),
    [("m.npy", {"stream": 1}), ("m.mp4", {"z": 1}), ("m.npy", {"channels_by": "c"})],
)
def test_an_option_that_a_source_has_no_use_for_is_told(
    tmp_path: Path, name: str, option: dict[str, Any]
) -> None:
    np.save(tmp_path / "m.npy", np.zeros((5, 20, 30), np.uint8))
    write_movie(tmp_path / "m.mp4")
    (warning,) = open_frames(tmp_path / name, **option).warnings
    assert warning.startswith(f"{next(iter(option))}= is not used")


def test_a_frame_rate_that_is_none_is_refused() -> None:
    for fps in (0, -1, float("nan")):
        with pytest.raises(FrameSourceError, match="no frame rate"):
            open_frames(np.zeros((2, 20, 30), np.uint8), fps=fps)


def test_a_damaged_numpy_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY nothing")
    with pytest.raises(FrameSourceError, match=r"a\.npy cannot be read as a numpy array"):
        open_frames(tmp_path / "a.npy")


def test_probing_a_video_tells_its_facts(tmp_path: Path) -> None:
    info = probe(write_movie(tmp_path / "m.mp4", 20, rotation=90))
    assert (info.kind, info.width, info.height, info.length) == ("video", 64, 96, 20)
    assert (info.fps, info.duration, info.variable_rate) == (25, 0.8, False)
    assert (info.codec, info.rotation, info.limits, info.warnings) == ("h264", 90, None, ())


def test_probing_a_variable_rate_says_so(tmp_path: Path) -> None:
    assert probe(write_movie(tmp_path / "m.mp4", 5, ticks=[0, 1, 5, 6, 9])).variable_rate


def test_probing_an_array_tells_limits_and_guessed_axes() -> None:
    info = probe(np.arange(10 * 20 * 30, dtype=np.uint16).reshape(10, 20, 30), limits=(5, 500))
    assert (info.kind, info.dtype, info.axes, info.axes_guessed) == ("array", "uint16", "TYX", True)
    assert info.limits == ((5.0, 500.0),)
    assert (info.fps, info.duration) == (None, None)
    assert info.normalisation == "explicit limits"


def test_probing_leaves_a_given_source_open() -> None:
    source = open_frames(np.zeros((2, 20, 30), np.uint8))
    assert probe(source).length == 2
    assert source[1].index == 1


def test_frames_come_without_torch() -> None:
    code = "import sys, sam2_plugins.core.frames; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
