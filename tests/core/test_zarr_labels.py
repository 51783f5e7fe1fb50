"""Labels in an OME-Zarr are read wherever other label pictures are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_plugins.cli.prompts import collect_prompts
from sam2_plugins.core.datasets import find_datasets, load_dataset, load_for, load_label_stack
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.training.finetuning import read_project

zarr = pytest.importorskip("zarr", minversion="3")  # which writes both versions

LABELS = np.zeros((4, 24, 32), np.int32)
for _t in range(4):
    LABELS[_t, 4:12, 2 + _t : 10 + _t] = 1
    LABELS[_t, 14:22, 18:28] = 7
MOVIE = (LABELS * 30 + 10).astype(np.uint8)
KINDS = ("time", "channel", *3 * ("space",))
AXES = [{"name": n, "type": t} for n, t in zip("tczyx", KINDS, strict=True)]


def tell(group: Any, facts: dict[str, Any], version: str) -> None:
    group.attrs.update({"ome": {"version": version, **facts}} if version == "0.5" else facts)


def store(group: Any, data: np.ndarray, version: str, **more: Any) -> None:
    group["0"] = data[:, None, None]
    scale = [{"type": "scale", "scale": [1, 1, 1, 1, 1]}]
    image = {"axes": AXES, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    tell(group, {"multiscales": [image], **more}, version)


def image(path: Path, *names: str, version: str = "0.4") -> Path:
    """Write a movie with labels of these names."""
    group = zarr.open_group(str(path), mode="w", zarr_format=3 if version == "0.5" else 2)
    store(group, MOVIE, version)
    labels = group.create_group("labels")
    tell(labels, {"labels": list(names)}, version)
    for name in names:
        store(labels.create_group(name), LABELS, version, **{"image-label": {}})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("part", ["labels/cells", "labels", "."])
def test_labels_are_found_from_the_image_down(tmp_path: Path, version: str, part: str) -> None:
    path = image(tmp_path / "m.zarr", "cells", version=version)
    assert np.array_equal(load_label_stack(path / part), LABELS)


def test_an_array_of_labels_needs_no_metadata(tmp_path: Path) -> None:
    zarr.save_array(str(tmp_path / "a.zarr"), LABELS[:3])
    assert np.array_equal(load_label_stack(tmp_path / "a.zarr"), LABELS[:3])


def test_labels_in_a_zip_are_read(tmp_path: Path) -> None:
    image(tmp_path / "m.zarr", "cells")
    shutil.make_archive(str(tmp_path / "m.zarr"), "zip", tmp_path / "m.zarr")
    assert np.array_equal(load_label_stack(tmp_path / "m.zarr.zip"), LABELS)


def test_of_several_labels_none_is_chosen(tmp_path: Path) -> None:
    with pytest.raises(FrameSourceError, match="several labels: give the path of one"):
        load_label_stack(image(tmp_path / "m.zarr", "cells", "nuclei"))


def test_labels_of_volumes_are_no_frames(tmp_path: Path) -> None:
    zarr.save_array(str(tmp_path / "a.zarr"), np.stack([LABELS, LABELS]))
    with pytest.raises(FrameSourceError, match=r"is an array of \(2, 4, 24, 32\)"):
        load_label_stack(tmp_path / "a.zarr")


def test_columns_before_rows_are_turned(tmp_path: Path) -> None:
    names = ["t", "x", "y"]
    turned = LABELS.swapaxes(1, 2)
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=turned.shape, dtype=turned.dtype, dimension_names=names
    )
    array[...] = turned
    assert np.array_equal(load_label_stack(tmp_path / "a.zarr"), LABELS)


def test_a_damaged_store_of_labels_is_named(tmp_path: Path) -> None:
    path = image(tmp_path / "m.zarr", "cells") / "labels/cells"
    (path / "0/.zarray").write_text("{")
    with pytest.raises(FrameSourceError, match=r"labels.cells cannot be read as zarr"):
        load_label_stack(path)


def test_an_image_with_labels_is_a_dataset(tmp_path: Path) -> None:
    path = image(tmp_path / "m.zarr", "cells")
    for given in (tmp_path, path, path / "labels/cells"):
        dataset = load_dataset(given)
        assert (dataset.name, dataset.kind, dataset.frames) == ("m", "microscopy", path)
        assert np.array_equal(dataset.truth, LABELS)
        with dataset.open() as movie:
            assert movie.length == len(LABELS)


def test_each_of_several_labels_is_a_dataset(tmp_path: Path) -> None:
    path = image(tmp_path / "m.zarr", "cells", "nuclei")
    assert [one.name for one in find_datasets(path)] == ["m/cells", "m/nuclei"]


def test_labels_of_a_zarr_are_those_of_another_movie(tmp_path: Path) -> None:
    labels = image(tmp_path / "m.zarr", "cells") / "labels/cells"
    np.save(tmp_path / "film.npy", MOVIE)
    dataset = load_for(labels, tmp_path / "film.npy")
    assert np.array_equal(dataset.truth, LABELS)


def test_labels_of_a_zarr_are_learned_from(tmp_path: Path) -> None:
    (movie,) = read_project(image(tmp_path / "m.zarr", "cells"))
    assert movie.frames == [0, 1, 2, 3]
    assert {obj: mask.area for obj, mask in movie.masks[2].items()} == {1: 64, 7: 80}


def test_a_label_of_a_zarr_is_a_prompt(tmp_path: Path) -> None:
    zarr.save_array(str(tmp_path / "first.zarr"), LABELS[0])
    prompts = collect_prompts([], [], [], [f"{tmp_path / 'first.zarr'},3"], [])
    assert [(p.frame, p.obj, p.mask.area) for p in prompts if p.mask] == [(3, 1, 64), (3, 7, 80)]
