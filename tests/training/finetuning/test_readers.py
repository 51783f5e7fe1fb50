from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sam2_plugins.core import Masklet, ObjectMask, open_frames, open_writers
from sam2_plugins.core.errors import FrameSourceError, TrainingError
from sam2_plugins.training.finetuning import AnnotatedMovie, read_project

from .conftest import discs

FRAMES, LABELS = discs(5)


def write_frames(folder: Path, name: str = "t{:03d}.tif") -> Path:
    folder.mkdir(parents=True)
    for i, frame in enumerate(FRAMES):
        tifffile.imwrite(folder / name.format(i), frame)
    return folder


def write_labels(folder: Path, name: str, labels: np.ndarray = LABELS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(labels):
        if image.any():
            tifffile.imwrite(folder / name.format(i), image.astype(np.uint16))


def assert_holds(movie: AnnotatedMovie, labels: np.ndarray = LABELS) -> None:
    """The masks are those of the labels, and the movie is the one they were drawn on."""
    annotated = [i for i, image in enumerate(labels) if image.any()]
    assert movie.frames == annotated
    for frame in annotated:
        for obj, mask in movie.masks[frame].items():
            np.testing.assert_array_equal(mask.to_array(), labels[frame] == obj)
    with movie.open() as source:
        assert source.length == len(FRAMES)
        np.testing.assert_array_equal(source[2].image[..., 0], FRAMES[2])


def test_frames_with_masks_are_read(tmp_path: Path) -> None:
    write_frames(tmp_path / "one" / "frames")
    write_labels(tmp_path / "one" / "masks", "{:03d}.tif")
    (movie,) = read_project(tmp_path)
    assert movie.name == "one"
    assert_holds(movie)


def test_a_label_stack_beside_its_movie_is_read(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "cells.tif", FRAMES)
    tifffile.imwrite(tmp_path / "cells_labels.tif", LABELS)
    (movie,) = read_project(tmp_path)
    assert movie.name == "cells"
    assert_holds(movie)


def test_frames_without_a_label_are_taken_as_not_annotated(tmp_path: Path) -> None:
    some = LABELS.copy()
    some[1] = 0
    tifffile.imwrite(tmp_path / "cells.tif", FRAMES)
    tifffile.imwrite(tmp_path / "cells_labels.tif", some)
    assert_holds(read_project(tmp_path)[0], some)


def test_silver_truth_of_a_challenge_folder_is_read(tmp_path: Path) -> None:
    write_frames(tmp_path / "01")
    write_labels(tmp_path / "01_ST" / "SEG", "man_seg{:03d}.tif")
    (movie,) = read_project(tmp_path)
    assert movie.name == f"{tmp_path.name}-01"
    assert_holds(movie)


def test_gold_outlines_are_named_by_the_markers_that_they_cover(tmp_path: Path) -> None:
    write_frames(tmp_path / "01")
    outlines = np.where(LABELS > 0, 3 - LABELS, 0)
    outlines[1] = 0
    wanted = np.where(outlines > 0, LABELS, 0)
    markers = np.zeros_like(LABELS)
    markers[:, 28:32] = LABELS[:, 28:32]
    write_labels(tmp_path / "01_GT" / "SEG", "man_seg{:03d}.tif", outlines)
    write_labels(tmp_path / "01_GT" / "TRA", "man_track{:03d}.tif", markers)
    assert_holds(read_project(tmp_path)[0], wanted)


@pytest.mark.parametrize(("format_", "found"), [("tiff", "."), ("ctc", "ctc"), ("coco", ".")])
def test_what_the_writers_write_is_read_with_its_movie(
    tmp_path: Path, format_: str, found: str
) -> None:
    tifffile.imwrite(tmp_path / "cells.tif", FRAMES)
    drawn = AnnotatedMovie.from_labels("cells", FRAMES, LABELS)
    out = tmp_path / "out"
    with open_frames(FRAMES) as source, open_writers(out, format_, source, [1, 2]) as writers:
        for frame in range(len(FRAMES)):
            writers.write(frame, float(frame), drawn.masks[frame])
    folder = out / found if (out / found).is_dir() else out
    (movie,) = read_project(folder, tmp_path / "cells.tif")
    assert_holds(movie)


def coco(**image: object) -> dict[str, object]:
    mask = ObjectMask.from_array(LABELS[0] == 1)
    ring = [10, 10, 20, 10, 20, 20, 10, 20]
    size = {"height": 64, "width": 64}
    return {
        "images": [{"id": 7, "file_name": "a.png", **size, **image}],
        "annotations": [
            {"id": 1, "image_id": 7, "segmentation": mask.to_rle()},
            {"id": 2, "image_id": 7, "segmentation": [ring]},
            {"id": 3, "image_id": 7, "segmentation": mask.to_rle(), "iscrowd": 1},
            {"id": 4, "image_id": 7, "bbox": [1, 1, 2, 2]},
        ],
    }


def test_coco_of_images_is_read_with_polygons_and_run_lengths(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    Image.fromarray(FRAMES[0]).save(tmp_path / "data" / "a.png")
    (tmp_path / "labels.json").write_text(json.dumps(coco()))
    (movie,) = read_project(tmp_path)
    masks = list(movie.masks[0].values())
    assert len(masks) == 2
    np.testing.assert_array_equal(masks[0].to_array(), LABELS[0] == 1)
    assert 90 <= masks[1].area <= 121
    with movie.open() as source:
        np.testing.assert_array_equal(source[0].image[..., 0], FRAMES[0])


def test_an_image_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_text(json.dumps(coco()))
    with pytest.raises(FrameSourceError, match=r"a\.png.*give the movie"):
        read_project(tmp_path)


def test_masklets_of_a_host_are_taken_as_they_are() -> None:
    masklet = Masklet("cell", masks={2: ObjectMask.from_array(LABELS[2] == 1)})
    masklet.masks[3] = ObjectMask.empty((64, 64))
    movie = AnnotatedMovie.from_masklets("cells", FRAMES, [masklet])
    assert movie.frames == [2]
    assert list(movie.masks[2]) == ["cell"]


def test_a_folder_of_something_else_says_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(FrameSourceError, match="Cell Tracking Challenge"):
        read_project(tmp_path)


def test_masks_of_another_size_than_the_movie_are_refused() -> None:
    movie = AnnotatedMovie.from_labels("cells", FRAMES[:, :32], LABELS)
    with pytest.raises(TrainingError, match="64×64 pixels, but the movie is 64×32"):
        movie.open()


def test_masks_beyond_the_end_of_the_movie_are_refused() -> None:
    movie = AnnotatedMovie.from_labels("cells", FRAMES[:2], LABELS)
    with pytest.raises(TrainingError, match="frame 4 has masks"):
        movie.open()
