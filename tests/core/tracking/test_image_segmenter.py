from __future__ import annotations

import numpy as np
import pytest

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.image_segmenter import ImageSegmenter
from tests.core.conftest import squares
from tests.support.movies import disc


def segmenter_of(model: Sam2Model) -> ImageSegmenter:
    segmenter = ImageSegmenter(model, window=None)
    segmenter.set_image(squares(1)[0])
    return segmenter


def test_one_click_has_three_answers_best_first(small_model: Sam2Model) -> None:
    masks = segmenter_of(small_model).predict(points=[(18, 28)])
    assert len(masks) == 3
    assert [m.iou for m in masks] == sorted((m.iou for m in masks), reverse=True)
    assert masks[0].frame_size == (96, 96)


def test_a_clear_prompt_has_one_answer(small_model: Sam2Model) -> None:
    segmenter = segmenter_of(small_model)
    assert len(segmenter.predict(box=(10, 20, 26, 36))) == 1
    assert len(segmenter.predict(points=[(18, 28), (60, 60)], labels=[1, 0])) == 1


def test_the_image_is_encoded_once_for_many_prompts(small_model: Sam2Model) -> None:
    segmenter = segmenter_of(small_model)
    for x in range(10, 40, 10):
        segmenter.predict(points=[(x, 28)])
    assert segmenter._features is not None
    assert segmenter._features.encoded == 1


def test_a_mask_to_start_from_changes_the_answer(small_model: Sam2Model) -> None:
    segmenter = segmenter_of(small_model)
    start = ObjectMask.from_box((40, 40, 90, 90), (96, 96))
    assert segmenter.predict(points=[(18, 28)], mask=start) != segmenter.predict(points=[(18, 28)])


def test_a_prompt_without_an_image_or_outside_of_it_is_refused(small_model: Sam2Model) -> None:
    with pytest.raises(PromptError, match="no image"):
        ImageSegmenter(small_model).predict(points=[(5, 5)])
    with pytest.raises(PromptError, match="outside"):
        segmenter_of(small_model).predict(points=[(200, 5)])


@pytest.mark.slow
def test_everything_finds_each_bright_disc_once() -> None:
    image = np.random.default_rng(0).normal(30, 6, (256, 256))
    centres = [(60, 60), (190, 70), (120, 190)]
    truth = [disc(image.shape, centre, 24) for centre in centres]
    for cell in truth:
        image[cell] += 120
    segmenter = ImageSegmenter(cached_model("nano", device="cpu"))
    segmenter.set_image(image.clip(0, 255).astype(np.uint8))
    masks = segmenter.everything(16, min_iou=0.5, min_stability=0.5, max_overlap=0.3)
    for cell in truth:
        overlaps = [mask.iou_with(ObjectMask.from_array(cell)) for mask in masks]
        assert max(overlaps) > 0.5
        assert sum(overlap > 0.5 for overlap in overlaps) == 1
    middle = sorted(mask.iou for mask in masks)[len(masks) // 2]
    sure = segmenter.everything(16, min_iou=middle, min_stability=0.5, max_overlap=0.3)
    assert sure and min(mask.iou for mask in sure) >= middle
    stable = segmenter.everything(16, min_iou=0.5, min_stability=0.97, max_overlap=0.3)
    assert len(stable) < len(masks)


def striped_thing() -> tuple[np.ndarray, ObjectMask]:
    """A photograph [480, 640, 3] of a thing of two colours on a meadow, and its mask."""
    y, x = np.mgrid[:480, :640]
    thing = ((x - 320) / 200) ** 2 + ((y - 240) / 150) ** 2 < 1
    picture = np.zeros((480, 640, 3)) + (70, 120, 60) + 25 * np.sin(x / 9 + y / 17)[..., None]
    picture[thing] = (190, 60, 50)
    picture[thing & (x // 60 % 2 == 0)] = (230, 200, 60)
    picture += np.random.default_rng(0).normal(0, 6, picture.shape)
    return picture.clip(0, 255).astype(np.uint8), ObjectMask.from_array(thing)


@pytest.mark.parametrize("click", [(320, 240), (345, 230)])
def test_a_click_on_a_photograph_takes_the_whole_thing_and_not_its_surest_patch(
    click: tuple[int, int],
) -> None:
    picture, thing = striped_thing()
    segmenter = ImageSegmenter(cached_model("nano", "cpu"))
    segmenter.set_image(picture)
    whole, *others = segmenter.predict([click])
    assert whole.iou_with(thing) > 0.95
    assert len(others) == 2
