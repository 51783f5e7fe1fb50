from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from sam2_plugins.core.datasets import find_datasets, load_dataset, load_label_stack
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.evaluation.metrics import evaluate
from sam2_plugins.core.frames import open_frames

STACK = np.arange(24, dtype=np.uint16).reshape(2, 3, 4) * 100


def save_npy(folder):
    np.save(folder / "stack.npy", STACK)
    return folder / "stack.npy"


def save_multipage(folder):
    tifffile.imwrite(folder / "stack.tif", STACK, compression="zlib")
    return folder / "stack.tif"


def save_tracked(folder):
    tifffile.imwrite(folder / "labels.tif", STACK)
    Image.new("RGB", (8, 8)).save(folder / "contact_sheet.png")
    return folder


def save_tiffs(folder):
    for name, image in zip(("mask2.tif", "mask10.tif"), STACK, strict=True):
        tifffile.imwrite(folder / name, image)
    (folder / "res_track.txt").write_text("1 0 1 0\n")
    return folder


def save_pngs(folder):
    for i, image in enumerate(STACK):
        Image.fromarray(image).save(folder / f"{i:05d}.png")
    return folder


@pytest.mark.parametrize("save", [save_npy, save_multipage, save_tracked, save_tiffs, save_pngs])
def test_a_label_stack_is_loaded_from_every_layout(tmp_path, save):
    assert np.array_equal(load_label_stack(save(tmp_path)), STACK)


def test_labels_of_a_palette_image_are_its_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(tmp_path / "0.png")
    assert load_label_stack(tmp_path).tolist() == [[[0, 1], [2, 1]]]


def test_one_label_image_is_a_stack_of_one(tmp_path):
    np.save(tmp_path / "one.npy", STACK[0])
    assert load_label_stack(tmp_path / "one.npy").shape == (1, 3, 4)


def write_odd_sizes(folder):
    for i, size in enumerate([(4, 3), (5, 3)]):
        Image.new("L", size).save(folder / f"{i}.png")
    return folder


def write(name, content):
    def save(folder):
        (folder / name).write_bytes(content)
        return folder / name

    return save


def write_array(array):
    def save(folder):
        np.save(folder / "x.npy", array)
        return folder / "x.npy"

    return save


def write_photograph(folder):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "0.png")
    return folder


@pytest.mark.parametrize(
    ("save", "message"),
    [
        (lambda folder: folder, "has no label images"),
        (lambda folder: folder / "nowhere.tif", r"no .*nowhere\.tif"),
        (write("x.tif", b"\0no tiff"), r"x\.tif is no image of labels"),
        (write("x.npy", b"\0no array"), r"x\.npy is no image of labels"),
        (write("x.png", b"\0no png"), r"x\.png is no image of labels"),
        (write("x.mp4", b"\0no image"), r"x\.mp4 is no image of labels"),
        (write_array(np.full((2, 3, 4), 0.5)), "holds float64"),
        (write_array(np.zeros((1, 2, 3, 4), int)), "label stack is"),
        (write_odd_sizes, r"1\.png is .3, 5., but the first is .3, 4."),
        (write_photograph, "looks like a photograph"),
        (write_array(np.array([[-1, 0, 5]])), "make 0 the background"),
    ],
)
def test_what_is_no_label_stack_is_named(tmp_path, save, message):
    with pytest.raises(FrameSourceError, match=message):
        load_label_stack(save(tmp_path))


def make_dataset(folder, **meta):
    for part in ("frames", "masks"):
        (folder / part).mkdir(parents=True)
    for i, image in enumerate(np.array([[[0, 3], [5, 5]], [[3, 3], [0, 5]]], np.uint8)):
        Image.fromarray(image).save(folder / "masks" / f"{i:05d}.png")
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


def test_cells_and_films_are_scored_by_their_own_rules(tmp_path):
    cells = load_dataset(
        make_dataset(
            tmp_path / "a",
            kind="microscopy: phase",
            prompt_frame=1,
            eval_objects_frame0=[5],
        )
    )
    assert cells.settings == {
        "objects": [5],
        "prompt_frame": 1,
        "bound": 2,
        "absent": "ignore",
        "frames": None,
    }
    assert cells.first_frames == {5: 1}
    film = load_dataset(make_dataset(tmp_path / "b"))
    assert film.settings == {
        "objects": [3, 5],
        "prompt_frame": 0,
        "bound": None,
        "absent": "davis",
        "frames": None,
    }
    assert film.first_frames == {3: 0, 5: 0}
    assert film.name == "b"


def test_every_dataset_of_a_folder_is_found(tmp_path):
    make_dataset(tmp_path / "b", name="second")
    make_dataset(tmp_path / "a", name="first")
    (tmp_path / "videos").mkdir()
    assert [dataset.name for dataset in find_datasets(tmp_path)] == ["first", "second"]
    assert [dataset.name for dataset in find_datasets(tmp_path / "b")] == ["second"]
    with pytest.raises(FrameSourceError, match="has no dataset"):
        find_datasets(tmp_path / "videos")


@pytest.mark.parametrize("content", ["{", "[]", "no frames"])
def test_a_damaged_dataset_is_named(tmp_path, content):
    folder = make_dataset(tmp_path / "a")
    if content == "no frames":
        (folder / "frames").rmdir()
    else:
        (folder / "meta.json").write_text(content)
    with pytest.raises(FrameSourceError, match=r"no dataset|damaged"):
        load_dataset(folder)


@pytest.mark.slow
def test_the_shared_sequences_load_and_their_truth_scores_1(shared_data):
    datasets = find_datasets(shared_data)
    assert len(datasets) >= 6
    for dataset in datasets:
        labels = dataset.truth[:3]
        assert labels.shape[1:] == (dataset.meta["height"], dataset.meta["width"])
        assert evaluate(labels, labels, **dataset.settings).JF == 1


TWO = np.zeros((24, 32), np.uint8)
TWO[2:8, 2:8], TWO[12:20, 14:22] = 1, 2
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)


def save_white_is_zero(path):
    tifffile.imwrite(path, 255 - TWO, photometric="miniswhite")


def save_planes(path):
    planes = np.moveaxis(COLOURS[TWO], -1, 0)
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")


def save_palette_with_the_ground_last(path):
    image = Image.fromarray(2 - TWO, "P")
    image.putpalette(COLOURS[::-1].ravel().tolist())
    image.save(path)


def save_turned(path):
    Image.fromarray(np.rot90(TWO)).save(path, tiffinfo={274: 6})


@pytest.mark.parametrize(
    "save", [save_white_is_zero, save_planes, save_palette_with_the_ground_last, save_turned]
)
def test_a_tiff_of_labels_is_read_as_it_is_seen(tmp_path, save):
    save(tmp_path / "m.tif")
    (labels,) = load_label_stack(tmp_path / "m.tif")
    assert sorted(np.bincount(labels.ravel())[1:].tolist()) == [36, 64]
    assert np.array_equal(labels > 0, TWO > 0)


@pytest.mark.parametrize(
    "names",
    [
        ("a10", "B2"),
        ("cell_t3", "cell_t-2"),
        ("mask 9", "Mask 10"),
        ("scan-2_t0", "scan-1_t1"),
    ],
)
def test_labels_and_frames_of_the_same_names_are_in_the_same_order(tmp_path, names):
    for number, name in enumerate(names, 1):
        Image.fromarray(np.full((4, 4), number, np.uint8)).save(tmp_path / f"{name}.png")
    with open_frames(tmp_path, limits=(0, 255)) as frames:
        shown = [int(frame.image[0, 0, 0]) for frame in frames]
    assert load_label_stack(tmp_path)[:, 0, 0].tolist() == shown


@pytest.mark.parametrize("metadata", [None, {}])
@pytest.mark.parametrize("dtypes", [(np.uint8, np.uint8), (np.uint8, np.uint16)])
def test_labels_that_were_written_one_by_one_are_a_stack(tmp_path, metadata, dtypes):
    with tifffile.TiffWriter(tmp_path / "m.tif") as writer:
        for shift in range(3):
            image = np.roll(TWO, shift, 1).astype(dtypes[shift % 2])
            writer.write(image, contiguous=False, metadata=metadata)
    stack = load_label_stack(tmp_path / "m.tif")
    assert [np.argmax(one[4] > 0) for one in stack] == [2, 3, 4]


@pytest.mark.parametrize(
    ("stack", "options"),
    [
        (np.stack([TWO > 0] * 5), {}),  # tifffile notes that white is zero
        (np.stack([TWO] * 5), {"photometric": "miniswhite"}),  # so does ImageJ, of binary masks
        (np.stack([TWO] * 3), {"photometric": "rgb"}),  # of 3 or 4 frames, tifffile's own guess
        (np.stack([TWO] * 4).astype(np.int32), {"photometric": "rgb"}),
    ],
)
def test_the_numbers_of_a_stack_are_its_labels_whatever_they_are_shown_as(tmp_path, stack, options):
    tifffile.imwrite(tmp_path / "m.tif", stack, **options)
    assert np.array_equal(load_label_stack(tmp_path / "m.tif"), stack)
