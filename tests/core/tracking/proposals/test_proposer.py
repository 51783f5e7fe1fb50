"""What nano's finder sees, on movies that were made here and that it was not taught on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import build_model
from sam2_plugins.core.tracking.image_segmenter import ImageSegmenter
from sam2_plugins.core.tracking.proposals import disjoint, make_proposer
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.core.variants import get_variant
from sam2_plugins.training.synthetic.sample import sample_timelapse
from tests.support.movies import disc


@pytest.fixture(scope="module")
def nuclei() -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    movie, labels = sample_timelapse(seed=5, frames=1, size=384)
    return movie[0], labels[0]


@pytest.fixture(scope="module")
def masks(nuclei: tuple[NDArray[np.uint16], NDArray[np.uint16]]) -> list[ObjectMask]:
    return found_of(nuclei[0])


def found_of(image: NDArray[np.generic], like: list[ObjectMask] | None = None) -> list[ObjectMask]:
    segmenter = ImageSegmenter(cached_model("nano", device="cpu"))
    segmenter.set_image(image)
    return segmenter.objects(like or [])


def hits(masks: list[ObjectMask], labels: NDArray[np.generic]) -> int:
    """Objects of which a mask covers more than half."""
    true = [ObjectMask.from_array(labels == number) for number in np.unique(labels) if number]
    return sum(any(2 * t.intersection_with(m) > t.area for m in masks) for t in true)


def test_nearly_all_nuclei_of_a_frame_are_found_and_little_else(
    nuclei: tuple[NDArray[np.uint16], NDArray[np.uint16]], masks: list[ObjectMask]
) -> None:
    labels = nuclei[1]
    count = len(np.unique(labels)) - 1
    assert hits(masks, labels) >= 0.9 * count
    assert len(masks) <= 1.2 * count


def test_proposals_do_not_overlap_and_say_how_sure_they_are(masks: list[ObjectMask]) -> None:
    covered = sum(mask.to_array().astype(int) for mask in masks)
    assert int(np.max(covered)) == 1
    assert all(0 <= mask.iou <= 1 for mask in masks)


def test_nothing_is_found_where_nothing_is() -> None:
    noise = np.random.default_rng(0).normal(90, 5, (200, 260)).clip(0, 255).astype(np.uint8)
    assert found_of(noise) == []
    assert found_of(np.zeros((64, 64), np.uint8)) == []


@pytest.mark.slow
def test_examples_say_which_size_is_meant() -> None:
    image = np.full((300, 400), 20.0)
    large = [(80, 90), (80, 250), (220, 120)]
    small = [(220, 260), (240, 330), (60, 350), (150, 200)]
    for places, radius in ((large, 34), (small, 11)):
        for y, x in places:
            image[disc(image.shape, (x, y), radius)] = 160
    image += np.random.default_rng(0).normal(0, 4, image.shape)
    example = ObjectMask.from_array(disc(image.shape, (260, 220), 11))
    masks = found_of(image.clip(0, 255).astype(np.uint8), [example])
    assert len(masks) == len(small)
    assert all(mask.area < 1000 for mask in masks)


def test_a_tracker_proposes_what_an_image_does(
    nuclei: tuple[NDArray[np.uint16], NDArray[np.uint16]],
) -> None:
    image = nuclei[0][:128, :160]
    tracker = VideoTracker(cached_model("nano", device="cpu"), image[None])
    proposed = list(tracker.proposer()(0))
    assert proposed and proposed == found_of(image)


def test_a_pixel_goes_to_the_surest_mask_and_what_loses_most_of_its_pixels_goes() -> None:
    one = ObjectMask.from_box(
        (0, 0, 10, 10),
        (20, 40),
    )
    masks = [
        ObjectMask(one.crop, (0, 0), (20, 40), iou=0.5),
        ObjectMask(one.crop, (4, 0), (20, 40), iou=0.9),
        ObjectMask(one.crop, (6, 0), (20, 40), iou=0.3),
    ]
    kept = disjoint(masks)
    assert [mask.box for mask in kept] == [(4, 0, 14, 10), (0, 0, 4, 10)][: len(kept)]
    assert disjoint([]) == []


@pytest.mark.slow
def test_a_model_without_a_finder_proposes_by_clicks() -> None:
    image = np.zeros((64, 64), np.uint8)
    image[20:40, 20:40] = 200
    segmenter = ImageSegmenter(build_model(get_variant("sam2.1-tiny"), 64).eval())
    segmenter.set_image(image)
    assert isinstance(segmenter.objects(), list)
    assert make_proposer(segmenter._operations, segmenter._planner).__name__ == "by_clicks"
