"""What nano's finder sees, on movies that were made here and that it was not taught on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model, build_model
from sam2_plugins.core.tracking.image_segmenter import ImageSegmenter
from sam2_plugins.core.tracking.proposals import disjoint, make_proposer, proposer
from sam2_plugins.core.tracking.proposals.landscape import windows_of
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


@pytest.mark.parametrize("shape", [(300, 1), (1, 700)])
def test_a_line_scan_is_looked_at_too(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    assert all(mask.frame_size == shape for mask in found_of(image))


def test_nothing_is_found_where_nothing_is() -> None:
    noise = np.random.default_rng(0).normal(90, 5, (200, 260)).clip(0, 255).astype(np.uint8)
    assert found_of(noise) == []
    assert found_of(np.zeros((64, 64), np.uint8)) == []


def rods() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Fifteen small dark rods that nearly touch, in a large frame."""
    labels = np.zeros((256, 256), np.uint8)
    for number in range(15):
        y, x = 100 + 20 * (number // 5), 100 + 8 * (number % 5)
        labels[y : y + 18, x : x + 6] = number + 1
    light = 180 - 120 * ndimage.gaussian_filter(1.0 * (labels > 0), 0.8)
    image = light + np.random.default_rng(0).normal(0, 4, labels.shape)
    return image.clip(0, 255).astype(np.uint8), labels


def test_small_objects_that_nearly_touch_are_told_apart() -> None:
    image, labels = rods()
    found = found_of(image)
    assert len(found) == 15
    assert hits(found, labels) == 15


def test_nothing_is_enlarged_where_nothing_shows_from_further_away() -> None:
    tracker = VideoTracker(cached_model("nano", device="cpu"), rods()[0][None])
    surveyor = tracker.proposer()._surveyor  # type: ignore[attr-defined]
    far, near = (len(windows_of(surveyor._planner, side)) for side in (128, 64))
    assert surveyor.hills(0, 64)
    assert far < tracker.frames_encoded < far + near / 2


def test_a_large_frame_is_not_looked_at_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = VideoTracker(cached_model("nano", device="cpu"), rods()[0][None])
    sides = [tracker.proposer()._best_side(0)]  # type: ignore[attr-defined]
    monkeypatch.setattr(proposer, "ENLARGED_PIXELS", 256 * 256 - 1)
    sides.append(tracker.proposer()._best_side(0))  # type: ignore[attr-defined]
    assert sides[0] in (64, 91)
    assert sides[1] not in (64, 91)


def test_what_is_clearest_in_the_whole_frame_is_not_enlarged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clear = {256: (0.7, 0.2), 128: (0.4, 0.4), 91: (0.5, 0.5), 64: (0.3, 0.7)}
    monkeypatch.setattr(proposer, "_clarity", lambda hills, side: clear[side])
    tracker = VideoTracker(cached_model("nano", device="cpu"), rods()[0][None])
    propose = tracker.proposer()
    assert propose._best_side(0) == 128  # type: ignore[attr-defined]
    clear[91] = (0.72, 0.5)
    assert propose._best_side(0) == 128  # type: ignore[attr-defined]
    clear[91] = (0.8, 0.5)
    assert propose._best_side(0) == 91  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1, 200), (2, 3000), (1500, 3)])
def test_frames_that_are_but_a_line_are_looked_through(
    nano: Sam2Model, size: tuple[int, int]
) -> None:
    image = np.full(size, 50, np.uint8)
    image[tuple(slice(20, 38) if side > 38 else slice(None) for side in size)] = 180
    segmenter = ImageSegmenter(nano)
    segmenter.set_image(image)
    assert all(mask.visible for mask in segmenter.objects())


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
