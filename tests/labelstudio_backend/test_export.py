from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import tifffile

from sam2_plugins.core.errors import ExportError
from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.export import read_export, write_masks
from sam2_plugins.labelstudio_backend.formats import brush
from tests.labelstudio_backend import tasks
from tests.labelstudio_backend.conftest import FRAMES, HEIGHT, WIDTH


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def exported(tmp_path, task, result):
    path = tmp_path / "export.json"
    path.write_text(json.dumps([{"id": 3, "data": {}}, tasks.annotated(task, *result)]))
    (read,) = read_export(path)
    return read


@pytest.mark.parametrize("kept", ["keyframes", "all"])
def test_boxes_on_video_come_back_as_masks(settings, files, discs, tmp_path, kept):
    engine = Engine(dataclasses.replace(settings, masks=kept))
    boxes = [tasks.video_box(discs[1], 1, region="x"), tasks.video_box(discs[1], 2, region="y")]
    task = tasks.video_task(files)
    (answer,) = engine.predict([task], tasks.VIDEO, {"result": boxes})
    read = exported(tmp_path, task, answer["result"])
    assert (read.moved == 0) == (kept == "all")
    files_made = write_masks(read, tmp_path / "out", "tiff,coco")
    labels = tifffile.imread(tmp_path / "out" / "labels.tif")
    for frame in range(FRAMES):
        for label in (1, 2):
            assert iou(labels[frame] == label, discs[1][frame] == label) > 0.7
    key = json.loads((tmp_path / "out" / "objects.json").read_text())
    assert [(one["id"], one["region"], one["label"]) for one in key] == [
        (1, "x", "Cell"),
        (2, "y", "Cell"),
    ]
    assert {path.name for path in files_made} == {"labels.tif", "coco.json", "objects.json"}


def test_all_labels_of_an_object_are_its_name_in_the_files(settings, files, discs, tmp_path):
    box = tasks.video_box(discs[1], 1)
    (answer,) = Engine(settings).predict([tasks.video_task(files)], tasks.VIDEO, {"result": [box]})
    answer["result"][0]["value"]["labels"] = ["Cell", "dim"]
    write_masks(exported(tmp_path, tasks.video_task(files), answer["result"]), tmp_path, "coco,csv")
    (track,) = json.loads((tmp_path / "coco.json").read_text())["tracks"]
    assert track["name"] == "Cell, dim"
    assert (tmp_path / "tracks.csv").read_text().count('"Cell, dim"') == FRAMES


def test_a_mask_under_a_box_that_a_person_moved_moves_along(settings, files, discs, tmp_path):
    box = tasks.video_box(discs[1], 1)
    (answer,) = Engine(settings).predict([tasks.video_task(files)], tasks.VIDEO, {"result": [box]})
    result = answer["result"][0]
    result["value"]["sequence"][-1] |= {"x": 2.0, "y": 70.0}
    read = exported(tmp_path, tasks.video_task(files), [result])
    last = read.masks.get(FRAMES - 1, "a")
    assert last.box[:2] == (round(0.02 * 128), round(0.7 * 96))


def test_under_a_box_that_a_person_turned_is_the_mask_that_was_tracked(
    settings, files, discs, tmp_path
):
    box = tasks.video_box(discs[1], 1, frame=4)
    x, y, width, height = tasks.percent(discs[1][4], 1)
    sides = {"width": width, "height": height, "rotation": 45}
    # The same square around the disc, as a diamond: it is turned around its top left corner.
    top = y + height / 2 * (1 - 2**0.5)
    box["value"]["sequence"][0] |= {"x": x + width / 2, "y": top, **sides}
    (answer,) = Engine(settings).predict([tasks.video_task(files)], tasks.VIDEO, {"result": [box]})
    read = exported(tmp_path, tasks.video_task(files), answer["result"])
    for frame in range(FRAMES):
        mask = read.masks.get(frame, "a").to_array()
        assert iou(mask, discs[1][frame] == 1) > 0.7, frame


def test_a_stack_comes_back_as_one_object_on_all_pages(engine, files, discs, tmp_path):
    task = tasks.stack_task(files)
    (answer,) = engine.predict([task], tasks.STACK, {"result": [tasks.click(36, 40, page=4)]})
    read = exported(tmp_path, task, answer["result"])
    (track,) = read.masks.objects
    assert read.masks.frames_of(track) == list(range(FRAMES))
    assert read.labels == {track: "Cell"}


def test_a_copy_of_a_mask_that_was_moved_is_exported_as_another_object(files, discs, tmp_path):
    note = {"meta": {"sam2": {"track": "t"}}, "from_name": "brush", "to_name": "image"}
    about = {**note, "type": "brushlabels", "original_width": WIDTH, "original_height": HEIGHT}
    values = [{"format": "rle", "rle": brush.encode(discs[1][0] == label)} for label in (1, 2, 1)]
    results = [{**about, "id": str(n), "value": value} for n, value in enumerate(values)]
    read = exported(tmp_path, tasks.image_task(files), results)
    areas = {obj: read.masks.get(0, obj).area for obj in read.masks.objects}
    assert areas == {"t": (discs[1][0] == 1).sum(), "1": (discs[1][0] == 2).sum()}


def test_masks_that_were_imported_without_ids_are_objects_of_their_own(files, discs, tmp_path):
    about = {"from_name": "mask", "to_name": "image", "type": "brushlabels"}
    about |= {"original_width": WIDTH, "original_height": HEIGHT}
    values = [{"format": "rle", "rle": brush.encode(discs[1][0] == label)} for label in (1, 2)]
    task = tasks.image_task(files)
    read = exported(tmp_path, task, [{**about, "value": value} for value in values])
    areas = [mask.area for mask in read.masks.on_frame(0).values()]
    assert areas == [(discs[1][0] == label).sum() for label in (1, 2)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read as JSON"),
        ('{"a": 1}', "format JSON"),
        ("[3]", "format JSON"),
        ('[{"id": 1, "video": "a.mp4", "box": []}]', "such as JSON-MIN"),
    ],
)
def test_what_is_no_export_is_told(tmp_path, text, told):
    path = tmp_path / "export.json"
    path.write_text(text)
    with pytest.raises(ExportError, match=told):
        list(read_export(path))


def test_boxes_that_were_never_tracked_have_no_masks_and_say_so(discs, files, tmp_path):
    with pytest.raises(ExportError, match="No keyframe carries a mask"):
        exported(tmp_path, tasks.video_task(files), [tasks.video_box(discs[1], 1)])


def test_an_export_tells_which_frame_of_the_file_each_frame_is(settings, files, discs, tmp_path):
    """Label Studio counts 24 frames of these 12, at twice their rate."""
    box = tasks.video_box(discs[1], 1)
    box["value"] |= {"framesCount": 24, "duration": 0.48}
    config = tasks.VIDEO.replace('framerate="25"', 'framerate="50"')
    task = tasks.video_task(files)
    engine = Engine(dataclasses.replace(settings, masks="all"))
    (answer,) = engine.predict([task], config, {"result": [box]})
    read = exported(tmp_path, task, answer["result"])
    write_masks(read, tmp_path / "out", "tiff")
    rows = (tmp_path / "out" / "frames.csv").read_text().splitlines()
    assert rows[0] == "frame,frame_of_file"
    assert [int(row.split(",")[1]) for row in rows[1:]] == [n // 2 for n in range(24)]
    write_masks(read.by_file(), tmp_path / "file", "tiff")
    labels = tifffile.imread(tmp_path / "file" / "labels.tif")
    assert len(labels) == FRAMES
    for frame in range(FRAMES):
        assert iou(labels[frame] > 0, discs[1][frame] == 1) > 0.7


def test_frames_of_the_file_are_only_given_where_they_are_known(tmp_path, settings, files, discs):
    box = tasks.video_box(discs[1], 1)
    (answer,) = Engine(settings).predict([tasks.video_task(files)], tasks.VIDEO, {"result": [box]})
    for keyframe in answer["result"][0]["value"]["sequence"]:
        keyframe["sam2"].pop("frames", None)
    with pytest.raises(ExportError, match="does not hold which frames"):
        exported(tmp_path, tasks.video_task(files), answer["result"]).by_file()


def test_an_ellipse_is_a_mask_and_boxes_that_enclose_none_are_counted(
    engine, files, discs, tmp_path
):
    config = tasks.IMAGE.replace("BrushLabels", "EllipseLabels")
    context = {"result": [tasks.click(40, 40)]}
    (answer,) = engine.predict([tasks.image_task(files)], config, context)
    box = tasks.area(discs[1][0], 2)
    read = exported(tmp_path, tasks.image_task(files), [*answer["result"], box])
    (mask,) = read.masks.on_frame(0).values()
    labels = discs[1][0]
    assert iou(mask.to_array(), labels == labels[40, 40]) > 0.8
    assert dict(read.left_out) == {box["type"]: 1}


def test_labels_beside_the_shapes_and_several_of_one_region_are_exported(
    engine, files, discs, tmp_path
):
    xml = """<View><Labels name="l" toName="image" choice="multiple"><Label value="Cell"/>
    <Label value="dim"/></Labels><Image name="image" value="$image"/>
    <Rectangle name="area" toName="image"/><Brush name="mask" toName="image"/></View>"""
    area = tasks.area(discs[1][0], 1)
    value = {k: v for k, v in area["value"].items() if k != "rectanglelabels"}
    labels = {**area, "from_name": "l", "type": "labels"}
    drawn = [
        {**area, "type": "rectangle", "value": value},
        {**labels, "value": {**value, "labels": ["Cell", "dim"]}},
    ]
    task = tasks.image_task(files)
    (answer,) = engine.predict([task], xml, {"result": drawn})
    read = exported(tmp_path, task, answer["result"])
    assert [*read.labels.values()] == ["Cell, dim"]


def drawn(region: str, to_name: str, size: tuple[int, int], page: int = 0) -> dict[str, Any]:
    """The upper left quarter of a picture, painted."""
    mask = np.zeros(size, bool)
    mask[: size[0] // 2, : size[1] // 2] = True
    value = {"format": "rle", "rle": brush.encode(mask), "brushlabels": ["Cell"]}
    about = {"id": region, "from_name": f"mask {to_name}", "to_name": to_name}
    sizes = {"original_height": size[0], "original_width": size[1], "item_index": page}
    return {**about, **sizes, "type": "brushlabels", "value": value}


@pytest.mark.parametrize("sizes", [[(8, 10), (8, 10)], [(8, 10), (20, 30)]])
def test_two_pictures_of_a_task_come_apart(tmp_path, sizes):
    results = [drawn(name, name, size) for name, size in zip("ab", sizes, strict=True)]
    path = tmp_path / "export.json"
    path.write_text(json.dumps([tasks.annotated({"id": 7, "data": {}}, *results)]))
    read = list(read_export(path))
    assert [one.name for one in read] == ["task-7-a", "task-7-b"]
    assert [one.size for one in read] == sizes
    assert [[*one.masks.objects] for one in read] == [["a"], ["b"]]


def test_pages_of_two_sizes_come_apart_with_their_numbers(tmp_path):
    results = [drawn("a", "image", (8, 10)), drawn("b", "image", (20, 30), page=1)]
    path = tmp_path / "export.json"
    path.write_text(json.dumps([tasks.annotated({"id": 7, "data": {}}, *results)]))
    read = list(read_export(path))
    assert [one.name for one in read] == ["task-7-10x8", "task-7-30x20"]
    assert [one.masks.frames_of("ab"[n]) for n, one in enumerate(read)] == [[0], [1]]
    assert [one.masks.get(n, "ab"[n]).area for n, one in enumerate(read)] == [20, 150]


def test_a_picture_beside_a_video_is_not_left_out(engine, files, discs, tmp_path):
    task, box = tasks.video_task(files), tasks.video_box(discs[1], 1)
    (answer,) = engine.predict([task], tasks.VIDEO, {"result": [box]})
    results = [*answer["result"], drawn("b", "still", (20, 30))]
    path = tmp_path / "export.json"
    path.write_text(json.dumps([tasks.annotated(task, *results)]))
    read = {one.name.rpartition("-")[2]: one for one in read_export(path)}
    assert [*read["video"].masks.objects] == ["a"]
    assert read["still"].masks.get(0, "b").area == 150


def test_older_annotations_are_counted_and_a_task_is_named_by_its_file(tmp_path):
    """Of local files, the address has the name after a question mark."""
    results = [[drawn(name, "image", (8, 10))] for name in "ab"]
    saved = [{"updated_at": str(2026 - n), "result": one} for n, one in enumerate(results)]
    skipped = {"updated_at": "2027", "was_cancelled": True, "result": results[1]}
    data = {"image": "/data/local-files/?d=films/my%20cells.png"}
    path = tmp_path / "export.json"
    path.write_text(json.dumps([{"id": 7, "data": data, "annotations": [*saved, skipped]}]))
    (read,) = read_export(path)
    assert (read.older, [*read.masks.objects]) == (1, ["a"])
    assert read.name == "task-7-my_cells"


def test_regions_without_the_size_of_their_picture_are_told_of(tmp_path):
    """As an importer may write them; the other task is exported, of which sizes are decimals."""
    bare, sized = drawn("a", "image", (8, 10)), drawn("b", "image", (8, 10))
    bare |= {"original_height": float("nan"), "original_width": None}
    sized |= {"original_height": 8.0, "original_width": 10.0}
    both = [tasks.annotated({"id": n, "data": {}}, one) for n, one in ((7, bare), (8, sized))]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(both))
    left: list[str] = []
    assert [one.name for one in read_export(path, left=left)] == ["task-8"]
    assert "Task 7: its regions do not have the size" in left[0]
