"""Files that are called other than what they are."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sam2_plugins.core.datasets import load_label_stack
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import open_frames
from tests.core.frames.movies import read_number, write_movie

FRAMES = np.random.default_rng(0).integers(0, 255, (5, 24, 32)).astype(np.uint8)
SUFFIXES = [".tif", ".png", ".mp4", ".gif", ".npy", ".zip", ""]


def write(path: Path, kind: str) -> Path:
    """Write a movie, or the first of its frames, of a kind that the name does not tell."""
    if kind == "tif":
        tifffile.imwrite(path, FRAMES)
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, FRAMES)
    elif kind in ("mp4", "avi", "mkv"):
        write_movie(path.with_suffix(f".{kind}"), 5).rename(path)
    else:
        images = [Image.fromarray(frame) for frame in FRAMES]
        moves = {"save_all": True, "append_images": images[1:]} if kind in ("gif", "webp") else {}
        images[0].save(path, format={"jpg": "jpeg"}.get(kind, kind), **moves)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["tif", "npy", "mp4", "avi", "mkv", "gif", "webp", "png", "jpg"])
def test_what_a_file_is_counts_not_what_it_is_called(
    tmp_path: Path, kind: str, suffix: str
) -> None:
    frames = open_frames(write(tmp_path / f"m{suffix}", kind))
    assert len(frames) == (1 if kind in ("png", "jpg") else 5)
    if kind in ("mp4", "avi", "mkv"):
        assert [read_number(frame.image) for frame in frames] == [0, 1, 2, 3, 4]
    elif kind in ("tif", "npy", "png"):
        assert np.array_equal(frames[0].image[..., 0], FRAMES[0])


def test_a_stream_of_jpeg_is_a_movie_though_it_begins_as_a_picture(tmp_path: Path) -> None:
    stream = b"".join(write(tmp_path / f"{k}", "jpg").read_bytes() for k in range(3))
    (tmp_path / "m.mjpeg").write_bytes(stream)
    assert len(open_frames(tmp_path / "m.mjpeg")) == 3


def packed(path: Path) -> bytes:
    return gzip.compress(write(path, "tif").read_bytes())


def archive(path: Path) -> bytes:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme", "nothing")
    return path.read_bytes()


PAGE = b"\n<!DOCTYPE html>\n<html><head><title>404</title></head><body>Gone \xf6</body></html>"
CONTENTS = {
    "empty": (lambda _: b"", "is empty.*download it again"),
    "page": (lambda _: PAGE, "is a web page.*download it again"),
    "json": (lambda _: b'{"detail": "Log in"}', "is a text, not a picture.*download it again"),
    "xml": (lambda _: b'<?xml version="1.0"?>\n<Error/>', "is a text, not a picture"),
    "pointer": (
        lambda _: b"version https://git-lfs.github.com/spec/v1\n",
        "is a pointer of Git LFS.*git lfs pull",
    ),
    "packed": (packed, "is a packed file.*Unpack it"),
    "archive": (archive, "is a ZIP archive without a zarr store.*unpack it"),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", CONTENTS)
def test_what_has_no_frames_is_named_under_any_name(
    tmp_path: Path, content: str, suffix: str
) -> None:
    make, message = CONTENTS[content]
    path = tmp_path / f"m{suffix}"
    path.write_bytes(make(path))
    with pytest.raises(FrameSourceError, match=rf"m{suffix} {message}"):
        open_frames(path)


def test_a_web_page_among_images_is_named(tmp_path: Path) -> None:
    for k in range(3):
        write(tmp_path / f"{k}.png", "png")
    (tmp_path / "1.png").write_bytes(PAGE)
    with pytest.raises(FrameSourceError, match=r"1\.png is a web page"):
        open_frames(tmp_path)


def test_a_movie_among_images_is_named(tmp_path: Path) -> None:
    for k in range(3):
        write(tmp_path / f"{k}.png", "mp4" if k == 1 else "png")
    with pytest.raises(FrameSourceError, match=r"1\.png cannot be read: it holds a movie"):
        open_frames(tmp_path)


def test_text_that_is_a_picture_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.pgm").write_text("P2 3 2 255\n1 2 3\n4 5 6\n")
    assert open_frames(tmp_path / "m.pgm")[0].image[..., 0].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize("name", ["m.png", "m.npy", "m.tif"])
def test_a_web_page_in_place_of_labels_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(PAGE)
    with pytest.raises(FrameSourceError, match=rf"{name} is a web page"):
        load_label_stack(tmp_path / name)


def test_labels_are_read_whatever_they_are_called(tmp_path: Path) -> None:
    labels = np.arange(12, dtype=np.uint16).reshape(1, 3, 4)
    with (tmp_path / "m.tif").open("wb") as file:
        np.save(file, labels)
    assert np.array_equal(load_label_stack(tmp_path / "m.tif"), labels)
