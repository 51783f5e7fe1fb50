from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageSequence

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export import LabelTiffWriter, Subject
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import split_label_image
from tests.core.export.movie import SIZE, Movie, blank, masks_on, square, write_movie


@pytest.fixture
def path(tmp_path):
    return tmp_path / "labels.tif"


def test_pages_are_the_label_images_of_the_frames(path):
    writer = LabelTiffWriter(path, blank(10, (7,)))
    write_movie(writer)
    writer.close()
    stack = tifffile.imread(path)
    assert (stack.shape, stack.dtype) == ((10, *SIZE), np.uint16)
    for frame, page in enumerate(stack):
        expected = {7: masks_on(frame)[7], 1: masks_on(frame)["a"]}
        assert split_label_image(page) == {k: expected[k] for k in (1, 7) if expected[k].visible}


def test_the_file_says_that_its_pages_are_frames_and_is_compressed(path):
    writer = LabelTiffWriter(path, blank(10))
    write_movie(writer)
    writer.close()
    writer.close()
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_ome
        assert tiff.series[0].axes == "TYX"
        assert tiff.pages[0].compression.name == "ADOBE_DEFLATE"
    with Image.open(path) as image:
        assert len(list(ImageSequence.Iterator(image))) == 10


def test_a_file_that_was_never_closed_is_readable(path, tmp_path):
    writer = LabelTiffWriter(path, blank(10))
    write_movie(writer, range(3))
    shutil.copy(path, tmp_path / "killed.tif")
    assert tifffile.imread(tmp_path / "killed.tif").shape == (3, *SIZE)
    writer.close()
    assert tifffile.imread(path).shape == (3, *SIZE)


def test_page_k_is_frame_k_even_if_tracking_began_later(path):
    writer = LabelTiffWriter(path, blank(None))
    write_movie(writer, [2, 4])
    writer.close()
    stack = tifffile.imread(path)
    assert [bool(page.any()) for page in stack] == [False, False, True, False, True]


@pytest.mark.parametrize("first", [0, 2])
def test_pages_are_as_wide_as_their_labels_need(path, first):
    writer = LabelTiffWriter(path, blank(None))
    for frame in range(4):
        writer.write(frame, 0.0, {7: square(0), **({70_000: square(20)} if frame >= first else {})})
    writer.close()
    stack = tifffile.imread(path)
    assert (stack.shape, stack.dtype) == ((4, *SIZE), np.uint32)
    wanted = [[0, 7, 70_000] if frame >= first else [0, 7] for frame in range(4)]
    assert [np.unique(page).tolist() for page in stack] == wanted
    with tifffile.TiffFile(path) as tiff:
        assert tiff.series[0].axes == "TYX"


@pytest.mark.parametrize("times", [[0, 30, 60, 90], [0, 30, 75, 90]])
def test_times_and_the_size_of_pixels_come_back(path, times):
    writer = LabelTiffWriter(path, Subject(Movie(4, pixel_size=(0.65, 0.5))))
    for frame, time in enumerate(times):
        writer.write(frame, time, {7: square(0)})
    writer.close()
    with open_frames(path) as frames:
        assert frames.pixel_size == pytest.approx((0.65, 0.5))
        assert frames.times.tolist() == pytest.approx(times)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match=r"labels\.tif cannot be written"):
        LabelTiffWriter(tmp_path / "file" / "labels.tif", blank(None))
