"""Damaged files of every kind: read as far as they go, or refused by name; nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sam2_plugins.core.datasets import load_label_stack
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import open_frames
from tests.core.frames.movies import write_movie

MOVIE = np.random.default_rng(0).integers(0, 255, (5, 24, 32)).astype(np.uint8)
IMAGES = [Image.fromarray(frame) for frame in MOVIE]


def write(path: Path) -> Path:
    suffix = path.suffix
    if suffix in (".mp4", ".mkv", ".avi"):
        return write_movie(path, 8)
    if suffix == ".npy":
        np.save(path, MOVIE)
    elif suffix == ".tif":
        tifffile.imwrite(path, MOVIE, compression="zlib", metadata={"axes": "TYX"}, ome=True)
    elif suffix in (".webp", ".avif", ".gif"):
        IMAGES[0].save(path, save_all=True, append_images=IMAGES[1:], duration=50)
    else:
        IMAGES[0].save(path)
    return path


KINDS = [
    *("png", "jpg", "bmp", "webp", "avif", "jp2", "pgm", "gif", "tif", "npy"),
    *("mp4", "mkv", "avi"),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", KINDS)
def test_a_damaged_file_is_read_or_refused(tmp_path: Path, suffix: str) -> None:
    whole = write(tmp_path / f"whole.{suffix}").read_bytes()
    rng = np.random.default_rng(len(suffix))
    path = tmp_path / f"m.{suffix}"
    for trial in range(24):
        damaged = bytearray(whole)
        if trial % 3 == 0:
            damaged = damaged[: rng.integers(len(damaged))]
        else:
            reach = min(200, len(damaged)) if trial % 3 == 1 else len(damaged)
            for place in rng.integers(reach, size=4):
                damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        for read in (lambda: list(open_frames(path)), lambda: load_label_stack(path)):
            try:
                read()
            except FrameSourceError as error:
                assert path.name in str(error)


@pytest.mark.parametrize(
    "text", ["", "x" * 5000, "~nobody-of-that-name/m.mp4", "a\0b", "data:" + "/" * 3000 + "://x"]
)
def test_a_name_that_no_file_has_is_refused(text: str) -> None:
    with pytest.raises(FrameSourceError, match=r"no file or folder|not opened"):
        open_frames(text)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is forbidden")
def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "m.png")
    path.chmod(0)
    with pytest.raises(FrameSourceError, match=r"m\.png cannot be read"):
        open_frames(path)


def test_an_animation_that_ends_early_is_told(tmp_path: Path) -> None:
    images = [Image.fromarray(np.full((24, 32), 50 * k, np.uint8)) for k in range(5)]
    path = tmp_path / "m.png"
    images[0].save(path, save_all=True, append_images=images[1:], duration=100)
    content = path.read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: content.rindex(b"fcTL") - 4])
    assert "cut off" in open_frames(tmp_path / "cut.png").warnings[0]
    assert open_frames(path).warnings == ()
