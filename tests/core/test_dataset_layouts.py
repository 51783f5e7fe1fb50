"""Every layout is written and read again: nothing is lost on the way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from sam2_plugins.core.datasets import ctc, davis, find_datasets, load_dataset, own, sav
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.evaluation.metrics import evaluate
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import ObjectMask

FRAMES, SIZE = 9, (48, 64)


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    """Two squares: 1 moves right, 3 appears on frame 4."""
    stack = np.zeros((FRAMES, *SIZE), np.uint8)
    for t in range(FRAMES):
        stack[t, 8:20, 5 + 2 * t : 17 + 2 * t] = 1
        if t >= 4:
            stack[t, 28:40, 30:44] = 3
    return stack


@pytest.fixture(scope="module")
def images(labels: np.ndarray) -> np.ndarray:
    return np.repeat((labels * 70 + 20)[..., None], 3, axis=-1)


def read_back(folder: Path) -> np.ndarray:
    dataset = load_dataset(folder)
    with open_frames(dataset.frames) as frames:
        assert (frames.length, frames.height, frames.width) == (FRAMES, *SIZE)
    return np.stack([dataset.truth[t] for t in range(len(dataset.truth))])


def test_davis_is_read_as_it_was_written(tmp_path, images, labels):
    davis.write(tmp_path, "squares", images, dict(enumerate(labels)))
    assert np.array_equal(read_back(tmp_path), labels)
    (dataset,) = find_datasets(tmp_path)
    assert (dataset.name, dataset.layout, dataset.annotated) == ("squares", "davis", None)
    assert dataset.first_frames == {1: 0, 3: 4}
    assert evaluate(labels, dataset.truth, **dataset.settings).JF == 1


def test_annotations_have_the_palette_of_davis(tmp_path, labels):
    davis.write_annotations(tmp_path, {0: labels[4]})
    with Image.open(tmp_path / "00000.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]


def test_only_the_sequences_of_the_validation_set_are_opened(tmp_path, images, labels):
    davis.write(tmp_path, "a", images, dict(enumerate(labels)), subset="2017/train")
    davis.write(tmp_path, "b", images, dict(enumerate(labels)), subset="2017/val")
    assert [dataset.name for dataset in find_datasets(tmp_path)] == ["b"]


def test_the_grey_255_of_davis_2016_is_object_1(tmp_path, images, labels):
    davis.write(tmp_path, "one", images, dict(enumerate(labels)))
    for path in (tmp_path / "Annotations/480p/one").glob("*.png"):
        Image.fromarray((labels[int(path.stem)] > 0).astype(np.uint8) * 255).save(path)
    assert np.array_equal(read_back(tmp_path), labels > 0)


def test_the_void_of_palette_images_belongs_to_nothing(tmp_path, images, labels):
    davis.write(tmp_path, "a", images, dict(enumerate(labels)))
    path = tmp_path / "Annotations/480p/a/00000.png"
    with Image.open(path) as image:
        void = np.asarray(image).copy()
        palette = image.getpalette()
    void[0] = 255
    changed = Image.fromarray(void)
    changed.putpalette(palette)
    changed.save(path)
    assert load_dataset(tmp_path).truth[0][0].max() == 0


def test_a_palette_has_no_room_for_a_label_of_255(tmp_path):
    with pytest.raises(FrameSourceError, match="from 1 to 254"):
        davis.write_annotations(tmp_path, {0: np.full((2, 2), 255)})


def test_youtube_vos_has_gaps_and_latecomers(tmp_path, images, labels):
    sparse = {t: labels[t] for t in (0, 5)}
    davis.write(tmp_path, "0a1b", images, sparse, resolution="", subset=None)
    (tmp_path / "meta.json").write_text('{"videos": {}}')  # it has one of its own
    (dataset,) = find_datasets(tmp_path)
    assert dataset.annotated == (0, 5)
    assert dataset.first_frames == {1: 0, 3: 5}
    wrong_between = labels.copy()
    wrong_between[[1, 2, 3, 4, 6, 7, 8]] = 0
    assert evaluate(wrong_between, dataset.truth, **dataset.settings).J == 1


def overlapping() -> list[dict[int, ObjectMask]]:
    """A whole and its part, every fourth frame; the part is hidden on the second."""
    whole, part = (ObjectMask.from_box(box, SIZE) for box in ((10, 10, 40, 40), (15, 15, 25, 25)))
    return [{1: whole, 2: part}, {1: whole}, {1: whole, 2: part}]


def test_sa_v_videos_keep_masks_that_overlap(tmp_path, images):
    sav.write_video(tmp_path / "sav_000001.mp4", images, overlapping())
    (dataset,) = find_datasets(tmp_path)
    assert (dataset.name, dataset.annotated) == ("sav_000001", (0, 4, 8))
    assert [dataset.truth[t] for t in (0, 4, 8)] == overlapping()
    assert dataset.truth[1] == {}
    assert len(dataset.truth) == FRAMES
    facts = json.loads((tmp_path / "sav_000001_manual.json").read_text())
    assert facts["masklet_id"] == [0, 1]
    assert set(facts["masklet"][0][0]) == {"size", "counts"}


def test_overlapping_objects_are_scored_each_for_itself(tmp_path, images):
    sav.write_video(tmp_path / "sav_000001.mp4", images, overlapping())
    dataset = load_dataset(tmp_path)
    pred = [dataset.truth[t] for t in range(FRAMES)]
    scores = evaluate(pred, dataset.truth, **dataset.settings)
    assert (scores.n_objects, scores.J, scores.F) == (2, 1, 1)


def test_sa_v_frames_with_a_png_per_object_are_read_as_they_were_written(tmp_path, images):
    masks = dict(zip((0, 4, 8), overlapping(), strict=True))
    sav.write_pages(tmp_path, "sav_000002", images, masks)
    assert (tmp_path / "Annotations_6fps/sav_000002/000/00004.png").is_file()
    (dataset,) = find_datasets(tmp_path)
    assert {t: dataset.truth[t] for t in dataset.annotated} == masks


def test_a_cell_tracking_sequence_is_read_as_it_was_written(tmp_path, images, labels):
    ctc.write(tmp_path / "DIC", "01", images[..., 0], labels, parents={3: 1})
    assert np.array_equal(read_back(tmp_path / "DIC"), labels)
    (dataset,) = find_datasets(tmp_path / "DIC")
    assert (dataset.name, dataset.kind) == ("DIC-01", "microscopy")
    assert dataset.settings["bound"] == 2
    assert dataset.first_frames == {1: 0}
    assert dataset.meta["parents"] == {3: 1}
    table = (tmp_path / "DIC/01_GT/TRA/man_track.txt").read_text()
    assert table == "1 0 8 0\n3 4 8 1\n"


def test_outlines_take_the_label_of_the_marker_on_them(tmp_path, images, labels):
    ctc.write(tmp_path, "01", images[..., 0], labels)
    outlines = tmp_path / "01_GT/SEG"
    for path in outlines.glob("*.tif"):
        path.unlink()
    other = np.where(labels[4] == 1, 7, np.where(labels[4] == 3, 2, 0)).astype(np.uint16)
    tifffile.imwrite(outlines / "man_seg004.tif", other)
    (dataset,) = find_datasets(tmp_path)
    assert (dataset.annotated, dataset.prompt_frame) == ((4,), 4)
    assert np.array_equal(dataset.truth[4], labels[4])


def test_silver_truth_fills_the_frames_without_gold(tmp_path, images, labels):
    ctc.write(tmp_path, "01", images[..., 0], labels)
    (tmp_path / "01_ST/SEG").mkdir(parents=True)
    for path in sorted((tmp_path / "01_GT/SEG").glob("*.tif"))[1:]:
        path.rename(tmp_path / "01_ST/SEG" / path.name)
    (dataset,) = find_datasets(tmp_path)
    assert dataset.annotated is None
    assert np.array_equal(read_back(tmp_path), labels)


def test_the_plain_layout_is_read_as_it_was_written(tmp_path, images, labels):
    own.write(tmp_path, images, labels, {"name": "mine", "kind": "microscopy"})
    assert np.array_equal(read_back(tmp_path), labels)
    assert load_dataset(tmp_path).name == "mine"


def test_a_folder_of_no_known_layout_is_told_what_is_known(tmp_path):
    with pytest.raises(FrameSourceError, match="Cell Tracking Challenge"):
        find_datasets(tmp_path)


def test_one_of_several_datasets_has_to_be_chosen(tmp_path, images, labels):
    for name in ("a", "b"):
        davis.write(tmp_path, name, images, dict(enumerate(labels)))
    with pytest.raises(FrameSourceError, match="2 datasets, a, b"):
        load_dataset(tmp_path)


def without_video(folder, images):
    sav.write_video(folder / "v.mp4", images, overlapping())
    (folder / "v.mp4").unlink()


def without_masklets(folder, images):
    sav.write_video(folder / "v.mp4", images, overlapping())
    (folder / "v_manual.json").write_text("{}")


def without_frames(folder, images):
    davis.write(folder, "a", [], {0: np.ones((2, 2), np.uint8)})
    (folder / "JPEGImages/480p/a").mkdir(parents=True)


def with_a_strange_annotation(folder, images):
    davis.write(folder, "a", images, {40: np.ones(SIZE, np.uint8)})


def with_a_damaged_table(folder, images):
    ctc.write(folder, "01", images[..., 0], np.ones((FRAMES, *SIZE), np.uint8))
    (folder / "01_GT/TRA/man_track.txt").write_text("1 0")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_video, r"v\.mp4 is missing"),
        (without_masklets, "holds no masklets"),
        (without_frames, "has no frames"),
        (with_a_strange_annotation, "frame 00040"),
        (with_a_damaged_table, "no table of tracks"),
    ],
)
def test_what_is_damaged_is_named(tmp_path, images, damage, message):
    damage(tmp_path, images)
    with pytest.raises(FrameSourceError, match=message):
        find_datasets(tmp_path)


def test_a_truth_goes_with_the_frame_of_its_number(tmp_path, images, labels):
    ctc.write(tmp_path, "01", images[..., 0], labels)
    (tmp_path / "01/t003.tif").unlink()
    dataset = load_dataset(tmp_path)
    with dataset.open(limits=(0, 255)) as frames:
        for index in range(FRAMES - 1):
            shown = frames[index].image[..., 0]
            assert np.array_equal(shown, dataset.truth[index] * 70 + 20)


@pytest.mark.parametrize("names", ["{:05d}.png", "cells_{:05d}.png"])
@pytest.mark.parametrize("has_meta", [True, False])
def test_a_frame_without_its_label_image_leaves_the_others_in_their_places(
    tmp_path, images, labels, names, has_meta
):
    own.write(tmp_path, images, labels)
    for index, path in enumerate(sorted((tmp_path / "masks").iterdir())):
        path.rename(path.with_name(names.format(index)))
    (tmp_path / "masks" / names.format(2)).unlink()
    if not has_meta:
        (tmp_path / "meta.json").unlink()
    dataset = load_dataset(tmp_path)
    assert list(dataset.truth_frames) == [0, 1, 3, 4, 5, 6, 7, 8]
    assert all(np.array_equal(dataset.truth[t], labels[t]) for t in dataset.truth_frames)


_NOON, _LATER = 20240101120000, 20240101120500


@pytest.mark.parametrize(
    ("numbers", "missing"), [((0, 1, 3, 4), 2), ((3, 4, 5), 1), ((_NOON, _LATER), 1)]
)
def test_label_images_with_a_gap_beside_a_film_are_refused(
    tmp_path, images, labels, numbers, missing
):
    tifffile.imwrite(tmp_path / "a.tif", images[..., 0])
    (tmp_path / "a_labels").mkdir()
    for number, image in zip(numbers, labels, strict=False):
        tifffile.imwrite(tmp_path / f"a_labels/{number}.tif", image)
    told = rf"a_labels has no label image {missing}, .* put empty images"
    with pytest.raises(FrameSourceError, match=told):
        find_datasets(tmp_path)


def test_label_images_from_1_on_are_of_the_first_frames(tmp_path, images, labels):
    tifffile.imwrite(tmp_path / "a.tif", images[..., 0])
    (tmp_path / "a_labels").mkdir()
    for index in range(4):
        tifffile.imwrite(tmp_path / f"a_labels/{index + 1}.tif", labels[index])
    assert np.array_equal(np.stack(list(load_dataset(tmp_path).truth)), labels[:4])


def test_every_tenth_frame_alone_may_be_a_film(tmp_path, images, labels):
    tifffile.imwrite(tmp_path / "a.tif", images[:3, ..., 0], photometric="minisblack")
    (tmp_path / "a_labels").mkdir()
    for index in range(3):
        tifffile.imwrite(tmp_path / f"a_labels/{10 * index}.tif", labels[index])
    assert np.array_equal(np.stack(list(load_dataset(tmp_path).truth)), labels[:3])


def test_datasets_are_found_in_the_folders_of_a_folder(tmp_path, images, labels):
    for folder in ("day 2", "day 10"):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "a.npy", images[..., 0])
        np.save(tmp_path / folder / "a_labels.npy", labels)
    ctc.write(tmp_path / "cells", "01", images[..., 0], labels)
    (tmp_path / "notes").mkdir()
    names = [dataset.name for dataset in find_datasets(tmp_path)]
    assert names == ["cells-01", "day 2/a", "day 10/a"]


def test_a_table_with_the_name_of_a_movie_is_not_taken_for_it(tmp_path, images, labels):
    tifffile.imwrite(tmp_path / "a.tif", images[..., 0])
    (tmp_path / "a.csv").write_text("cell,area\n1,144\n")
    np.save(tmp_path / "a_labels.npy", labels)
    with load_dataset(tmp_path).open() as frames:
        assert frames.length == FRAMES


@pytest.mark.parametrize("layout", ["davis", "sa-v", "sa-v video"])
def test_what_a_system_leaves_in_folders_is_not_of_the_dataset(tmp_path, images, labels, layout):
    masks = overlapping()
    if layout == "davis":
        davis.write(tmp_path, "squares", images, dict(enumerate(labels)))
    elif layout == "sa-v":
        sav.write_pages(tmp_path, "squares", images, {4 * k: m for k, m in enumerate(masks)})
        (tmp_path / "Annotations_6fps/squares/@eaDir").mkdir()
    else:
        sav.write_video(tmp_path / "squares.mp4", images, masks)
    for path in [one for one in tmp_path.rglob("*") if one.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7")
    (dataset,) = find_datasets(tmp_path)
    assert len(dataset.truth) == FRAMES
    assert all(dataset.masks(frame) for frame in dataset.truth_frames)


def test_a_damaged_annotation_is_named(tmp_path, images, labels):
    davis.write(tmp_path, "squares", images, dict(enumerate(labels)))
    path = tmp_path / "Annotations/480p/squares/00004.png"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(FrameSourceError, match=r"00004\.png cannot be read"):
        load_dataset(tmp_path).masks(4)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"prompt_frame": "first"}, r"meta\.json is damaged: .* prompt_frame is the number"),
        ({"eval_objects_frame0": 3}, r"meta\.json is damaged: .* a list of labels"),
        ({"prompt_frame": 40}, "frame 40, which has no labels"),
    ],
)
def test_metadata_that_do_not_fit_are_named(tmp_path, images, labels, meta, message):
    own.write(tmp_path, images, labels, meta)
    with pytest.raises(FrameSourceError, match=message):
        _ = load_dataset(tmp_path).first_frames
