"""Measures, exports, readers, writers, samples."""

from __future__ import annotations

import csv
import json
from copy import deepcopy
from pathlib import Path

import av
import numpy as np
import pytest
import tifffile
from npe2 import PluginManifest
from skimage.measure import regionprops

import sam2_plugins.napari_plugin
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export import check_ctc
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.lineage import Lineage, tracks_of
from sam2_plugins.napari_plugin.layers.mask_store import MaskStore
from sam2_plugins.napari_plugin.models.frame_states import FrameState, Kind, doubtful, states_along
from sam2_plugins.napari_plugin.models.measures import save_csv
from sam2_plugins.napari_plugin.reader import read_video, video_reader
from sam2_plugins.napari_plugin.samples import synthetic
from sam2_plugins.napari_plugin.writer import write_ctc
from tests.cli.conftest import moving_discs
from tests.napari_plugin.conftest import LEFT, Desk, Open

SIZE = (96, 128)


def test_the_manifest_names_what_is_there() -> None:
    path = Path(sam2_plugins.napari_plugin.__file__).parent / "napari.yaml"
    manifest = PluginManifest.from_file(path)
    manifest.validate_imports()
    assert [w.display_name for w in manifest.contributions.widgets or ()] == ["SAM 2"]
    assert {s.key for s in manifest.contributions.sample_data or ()} == {"synthetic", "hela"}


def test_scripts_find_what_they_import_under_the_old_paths() -> None:
    from sam2_plugins.napari_plugin import _controller, _jobs, _store, controllers

    assert _controller.Controller is controllers.Controller
    assert _jobs.AtOnce is controllers.AtOnce
    assert _store.MaskStore is MaskStore


def test_measures_are_those_of_scikit_image_in_the_images_units(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track()
    desk.controller.images[0].units = ("pixel", "um", "um")
    desk.controller.results.measure()
    desk.jobs.run()
    rows = desk.controller.results.measures
    assert [row["frame"] for row in rows] == list(range(8))
    mask = desk.space.store.get((3,), 1)
    assert mask is not None and mask.centroid is not None
    movie = moving_discs(8)[0]
    (wanted,) = regionprops(mask.to_array().astype(int), intensity_image=movie[3])
    row = rows[3]
    assert row["area_px"] == wanted.area
    assert row["area_µm2"] == pytest.approx(wanted.area / 4)
    assert row["mean_movie"] == pytest.approx(wanted.intensity_mean)
    assert row["perimeter"] == pytest.approx(wanted.perimeter)
    assert (row["y_px"], row["x_px"]) == pytest.approx(wanted.centroid)
    before = desk.space.store.get((2,), 1)
    assert before is not None and before.centroid is not None
    moved = np.hypot(*np.subtract(mask.centroid, before.centroid)) / 2
    assert row["speed_µm_per_frame"] == pytest.approx(moved)
    assert "speed_µm_per_frame" not in rows[0]
    assert list(desk.space.labels.features["name"]) == ["object 1"]


def test_who_saves_measures_of_masks_that_have_changed_since_hears_of_it(
    desk: Desk, tmp_path: Path
) -> None:
    desk.click(*LEFT)
    desk.controller.results.measure()
    desk.jobs.run()
    path = tmp_path / "cells.csv"
    desk.controller.results.save_table(path)
    assert desk.told[-1] == f"Written: {path}"
    desk.space.labels.paint((0, 80, 20), 1)
    desk.controller.results.save_table(path)
    assert desk.told[-1].startswith(f"Written: {path}. Objects have changed since")


def test_a_table_has_a_column_for_every_measure(tmp_path: Path) -> None:
    rows = [{"object": "a", "frame": 0}, {"object": "a", "frame": 1, "speed": 2.5}]
    save_csv(tmp_path / "t.csv", rows)  # type: ignore[arg-type]
    with (tmp_path / "t.csv").open() as file:
        assert list(csv.DictReader(file)) == [
            {"object": "a", "frame": "0", "speed": ""},
            {"object": "a", "frame": "1", "speed": "2.5"},
        ]


def test_every_export_holds_the_tracked_masks(desk: Desk, tmp_path: Path) -> None:
    desk.click(*LEFT)
    desk.track()
    desk.space.go_to((4,))
    desk.controller.divisions.divide()
    desk.click(40, 36)
    desk.track()
    for kind in ("ctc", "tiff", "coco", "csv", "mp4"):
        desk.controller.results.export(kind, tmp_path)
        desk.jobs.run()
        assert desk.told[-1].startswith("Written")
    assert desk.failures == []
    assert check_ctc(tmp_path / "ctc") == []
    assert (tmp_path / "ctc/res_track.txt").read_text().split("\n")[:2] == ["1 0 3 0", "2 4 7 1"]
    labels = tifffile.imread(tmp_path / "labels.tif")
    for frame in range(8):
        assert np.array_equal(labels[frame], desk.space.store[frame])
    assert len(json.loads((tmp_path / "coco.json").read_text())["annotations"]) == 8
    with av.open(str(tmp_path / "overlay.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 8


def test_names_that_a_person_gave_are_in_the_exported_tables(desk: Desk, tmp_path: Path) -> None:
    desk.click(*LEFT)
    desk.track()
    for name in (None, "left daughter"):
        if name is not None:
            desk.work.names[1] = name
        desk.controller.results.export("csv", tmp_path)
        desk.jobs.run()
        with (tmp_path / "tracks.csv").open() as file:
            assert {row.get("name") for row in csv.DictReader(file)} == {name}


@pytest.mark.parametrize("is_folder", [False, True])
def test_no_export_takes_the_place_of_the_movie_or_of_a_frame(
    open_movie: Open, tmp_path: Path, is_folder: bool
) -> None:
    movie = moving_discs(2)[0]
    path = tmp_path if is_folder else tmp_path / "labels.tif"
    for name, frame in (("0.tif", movie[0]), ("1.tif", movie[1])) if is_folder else ():
        tifffile.imwrite(tmp_path / name, frame)
    if not is_folder:
        tifffile.imwrite(path, movie)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    desk = open_movie(path)
    desk.click(*LEFT)
    desk.controller.results.export("tiff", tmp_path)
    desk.jobs.run()
    assert "would take the place of the movie" in desk.failures[-1]
    kept = [file for file in tmp_path.iterdir() if file.suffix == ".tif"]
    assert {file: file.read_bytes() for file in kept} == before


def test_an_export_that_fails_says_why(desk: Desk, tmp_path: Path) -> None:
    desk.controller.results.export("ctc", tmp_path)
    assert "track an object first" in desk.failures[-1]
    desk.click(*LEFT)
    (tmp_path / "file").write_text("")
    desk.controller.results.export("ctc", tmp_path / "file")
    desk.jobs.run()
    assert str(tmp_path / "file") in desk.failures[-1]


def test_tracks_follow_centroids_and_tell_mothers() -> None:
    store, lineage = MaskStore((3, *SIZE)), Lineage()
    store.put((0,), 1, ObjectMask.from_box((10, 20, 13, 23), SIZE))
    store.put((1,), 1, ObjectMask.empty(SIZE))
    store.put((2,), 2, ObjectMask.from_box((30, 20, 33, 23), SIZE))
    lineage.add(1, 2)
    lineage.add(1, 3)
    data, graph = tracks_of(store, lineage, [1, 2, 3])
    assert data.tolist() == [[1, 0, 21, 11], [2, 2, 21, 31]]
    assert graph == {2: [1]}
    lineage.remove(1)
    assert lineage.mothers == {}


def test_frames_are_told_apart_by_what_is_known_of_them() -> None:
    store = MaskStore((6, *SIZE))
    box = (10, 20, 13, 23)
    for frame, iou in ((0, 0.9), (1, 0.8), (2, 0.3)):
        mask = ObjectMask.from_box(box, SIZE)
        store.put((frame,), 1, ObjectMask(mask.crop, mask.offset, SIZE, iou, 3.0))
    store.put((3,), 1, ObjectMask.empty(SIZE, 0.1, -2.0))
    store.put((4,), 1, ObjectMask.empty(SIZE, 0.1, -2.0))
    states = states_along(store, Line(0, (0,)), 6, [1], [(0, 1)])
    assert [state.kind for state in states] == [
        Kind.PROMPTED,
        Kind.TRACKED,
        Kind.DOUBTFUL,
        Kind.LOST,
        Kind.LOST,
        Kind.UNKNOWN,
    ]
    assert states[1] == FrameState(Kind.TRACKED, 0.8, label=1)
    assert doubtful(states) == [2, 3]


def test_frames_outside_the_lives_of_all_objects_are_not_to_be_tracked() -> None:
    lives = {1: Life(None, 1), 2: Life(3, None)}
    line, store = Line(0, (0,)), MaskStore((5, *SIZE))
    states = states_along(store, line, 5, [1, 2], [], lives=lives)
    assert [frame for frame, state in enumerate(states) if state.kind is Kind.OUTSIDE] == [2]
    with_another = states_along(store, line, 5, [1, 2, 3], [], lives=lives)
    assert {state.kind for state in with_another} == {Kind.UNKNOWN}


def test_labels_are_written_as_a_valid_challenge_folder(tmp_path: Path) -> None:
    labels = moving_discs(5)[1]
    assert write_ctc(str(tmp_path / "01_RES"), labels, {}) == [str(tmp_path / "01_RES")]
    assert check_ctc(tmp_path / "01_RES") == []
    assert np.array_equal(tifffile.imread(tmp_path / "01_RES/mask003.tif"), labels[3])
    with pytest.raises(ExportError, match="T, Y, X"):
        write_ctc(str(tmp_path / "x"), labels[0], {})


def test_a_video_is_read_frame_by_frame(tmp_path: Path) -> None:
    path = tmp_path / "movie.mp4"
    with av.open(str(path), "w") as video:
        stream = video.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for k in range(6):
            image = np.full((48, 64, 3), 40 * k, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                video.mux(packet)
        for packet in stream.encode():
            video.mux(packet)
    assert video_reader(["a.mp4", "b.mp4"]) is None
    reader = video_reader(str(path))
    assert reader is not None
    ((frames, about, kind),) = read_video(str(path))
    assert (frames.shape, about["rgb"], kind) == ((6, 48, 64, 3), True, "image")
    assert abs(int(frames[4][10, 10, 0]) - 160) < 12
    assert deepcopy(frames).shape == frames.shape  # napari duplicates the layer
    assert frames[1:4:2].shape == (2, 48, 64, 3)
    assert frames[2, 5:9, ::2].shape == (4, 32, 3)
    assert frames[..., 0].shape == (6, 48, 64)


def test_the_sample_is_a_time_lapse_in_micrometres() -> None:
    ((movie, about, kind),) = synthetic()
    assert kind == "image"
    assert movie.ndim == 3 and len(movie) == 20
    assert about["scale"][1] == 0.5


def test_of_very_many_points_the_paths_keep_their_ends_and_a_few_between() -> None:
    store = MaskStore((50, *SIZE))
    for frame in range(50):
        for label in (1, 2):
            store.put((frame,), label, ObjectMask.from_box((frame, 10, frame + 3, 13), SIZE))
    data, _ = tracks_of(store, Lineage(), [1, 2], limit=20)
    assert len(data) <= 24
    for label in (1, 2):
        frames = data[data[:, 0] == label][:, 1]
        assert frames[0] == 0 and frames[-1] == 49
