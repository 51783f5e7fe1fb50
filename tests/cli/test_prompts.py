from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer

from sam2_plugins.cli.prompts import collect_prompts, summarise_prompts
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompt_files import save_prompts
from sam2_plugins.core.prompts import Box, Points, Prompt


def collected(clicks=(), background=(), boxes=(), masks=(), files=()) -> list[Prompt]:
    return collect_prompts(clicks, background, boxes, masks, files)


def test_a_click_makes_a_new_object_on_frame_0():
    assert collected(["120,80.5"]) == [Prompt.of(0, 1, points=[(120, 80.5)])]


def test_a_frame_and_an_object_may_follow():
    (prompt,) = collected(["120,80,7,cell"])
    assert (prompt.frame, prompt.obj) == (7, "cell")


def test_an_object_may_follow_without_a_frame():
    (prompt,) = collected(["120,80,cell"])
    assert (prompt.frame, prompt.obj) == (0, "cell")


def test_a_number_is_a_numbered_object():
    assert collected(["120,80,0,12"])[0].obj == 12


def test_new_objects_take_the_numbers_that_are_free():
    prompts = collected(["1,1", "2,2,0,1", "3,3"], boxes=["4,4,9,9"])
    assert [prompt.obj for prompt in prompts] == [2, 1, 3, 4]


def test_clicks_and_a_box_of_one_object_on_one_frame_are_one_prompt():
    (prompt,) = collected(["5,6,3,a"], ["9,9,3,a"], ["0,0,9,9,3,a"])
    assert prompt.points == Points(((5, 6), (9, 9)), (1, 0))
    assert prompt.box == Box(0, 0, 9, 9)


@pytest.mark.parametrize("text", ["12", "1,", "a,b", "1,2,3,4,5", "1,2,x,y", "1,2," + "9" * 5000])
def test_a_malformed_click_is_a_usage_error_that_shows_the_form(text: str):
    with pytest.raises(typer.BadParameter, match="x,y"):
        collected([text])


@pytest.mark.parametrize("text", ["1,2,-1", "1,2,1.5", "1,2,+3"])
def test_a_number_that_is_no_frame_is_not_taken_for_a_name(text: str):
    with pytest.raises(typer.BadParameter, match="is no frame"):
        collected([text])


def test_after_a_frame_any_whole_number_is_an_object():
    assert collected(["1,2,0,-3"])[0].obj == -3


def test_a_background_click_must_name_its_object():
    with pytest.raises(typer.BadParameter, match="needs the object"):
        collected(background=["5,5"])


def test_every_label_of_a_mask_file_is_an_object(tmp_path: Path):
    labels = np.zeros((20, 30), np.uint8)
    labels[2:5, 3:9], labels[10:15, 20:25] = 3, 8
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    prompts = collected(masks=[f"{tmp_path / 'labels.tif'},4"])
    assert [(prompt.frame, prompt.obj) for prompt in prompts] == [(4, 3), (4, 8)]
    assert prompts[0].mask == ObjectMask.from_array(labels == 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_black_and_white_mask_is_a_new_object(tmp_path: Path, dtype: type):
    mask = np.zeros((20, 30), dtype)
    mask[2:5, 3:9] = np.iinfo(dtype).max
    tifffile.imwrite(tmp_path / "mask.tif", mask)
    assert collected(masks=[str(tmp_path / "mask.tif")])[0].obj == 1


def test_a_mask_without_an_object_is_a_usage_error(tmp_path: Path):
    tifffile.imwrite(tmp_path / "empty.tif", np.zeros((20, 30), np.uint8))
    with pytest.raises(typer.BadParameter, match="has no object"):
        collected(masks=[str(tmp_path / "empty.tif")])


def test_saved_prompts_come_first_and_keep_their_ids(tmp_path: Path):
    saved = [Prompt.of(3, 1, points=[(4, 4)]), Prompt.of(0, "b", box=(1, 1, 5, 5))]
    save_prompts(tmp_path / "prompts.json", saved)
    prompts = collected(["9,9"], files=[tmp_path / "prompts.json"])
    assert prompts == [*saved, Prompt.of(0, 2, points=[(9, 9)])]


def test_prompts_are_told_in_a_few_words():
    said = [Prompt.of(0, 1, points=[(1, 1), (2, 2)]), Prompt.of(7, 1, box=(1, 1, 5, 5))]
    assert summarise_prompts(said) == "2 clicks @ 0, box @ 7"


def test_two_boxes_or_masks_of_one_object_on_a_frame_are_refused(tmp_path):
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.eye(9, dtype=np.uint8))
    with pytest.raises(typer.BadParameter, match="object cell has two boxes on frame 0"):
        collected(boxes=["1,1,9,9,cell", "2,2,8,8,cell"])
    with pytest.raises(typer.BadParameter, match="object 1 has two masks on frame 0"):
        collected(masks=[f"{tmp_path / 'a.tif'}", f"{tmp_path / 'b.tif'}"])
    assert len(collected(masks=[f"{tmp_path / 'a.tif'}", f"{tmp_path / 'b.tif'},3"])) == 2


def test_a_file_in_which_an_object_was_painted_twice_on_a_frame_is_taken(tmp_path: Path):
    painted = [Prompt.of(0, 1, mask=np.eye(9) * n > 0) for n in (1, 2)]
    save_prompts(tmp_path / "prompts.json", painted)
    assert collected(files=[tmp_path / "prompts.json"]) == painted
