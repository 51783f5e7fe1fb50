"""One story that every host has to tell alike: a movie, prompts, and the masks of the core."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from sam2_plugins.core.checkpoints import find_weights
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.run import run
from tests.support.movies import disc, write_video

FRAMES, HEIGHT, WIDTH, RATE = 8, 192, 256, 25
OPTIONS = TrackingOptions(model="nano", device="cpu", direction="both")

Masks: TypeAlias = dict[tuple[int, int], ObjectMask]
"""By object and frame."""


@dataclass(frozen=True)
class Story:
    """Prompts, and why they are there."""

    prompts: tuple[Prompt, ...]


BOXES = Story(
    (
        Prompt.of(0, 1, box=(40, 44, 104, 108)),  # a large cell
        Prompt.of(0, 2, box=(88, 84, 112, 108)),  # a small one, partly over it
        Prompt.of(5, 1, box=(48, 44, 112, 108)),  # a second box for the first
    )
)
CLICKS = Story(
    (
        Prompt.of(0, 1, points=[(72, 76)]),
        Prompt.of(0, 2, points=[(200, 60), (200, 90)], labels=[1, 0]),
        Prompt.of(4, 2, points=[(60, 150)]),  # elsewhere: outside of the object's window
        Prompt.of(0, 3, box=(88, 84, 112, 108)),
        Prompt.of(0, 3, points=[(100, 96)]),  # a box and a click of one object on one frame
    )
)
MASK_AND_BOX = Story(
    (
        Prompt.of(0, 1, mask=ObjectMask.from_box((46, 50, 98, 102), (HEIGHT, WIDTH))),
        Prompt.of(0, 1, box=(40, 44, 104, 108)),
    )
)


def write_movie(path: Path) -> Path:
    """Write cells that move, two of which overlap, as a video."""
    rng = np.random.default_rng(5)
    images = []
    for t in range(FRAMES):
        image = rng.normal(30, 4, (HEIGHT, WIDTH))
        for cx, cy, radius, bright in (
            (72 + t, 76, 30, 80),
            (100 + t, 96, 10, 150),
            (200 - t, 60, 14, 110),
            (60, 150 - t, 12, 100),
        ):
            image[disc(image.shape, (cx, cy), radius)] = bright + rng.normal(0, 4)
        images.append(image.clip(0, 255).astype(np.uint8))
    return write_video(path, images, tick=Fraction(1, RATE), crf="10")


def core_masks(movie: Path, story: Story) -> Masks:
    """Return what the core gives in Python."""
    if find_weights("nano") is None:
        pytest.skip("this checkout lacks the embedded weights, core/weights/nano.safetensors")
    tracker = OPTIONS.tracker(movie)
    for prompt in story.prompts:
        tracker.add(prompt)
    for _ in run(tracker, OPTIONS):
        pass
    return {
        (int(obj), frame): mask
        for obj, masklet in tracker.masklets().items()
        for frame, mask in masklet
    }


def assert_alike(found: Masks, wanted: Masks, empty: bool = True) -> None:
    """Assert that every mask is the same, pixel by pixel; hosts may leave out empty ones."""
    if not empty:
        wanted = {key: mask for key, mask in wanted.items() if mask.visible}
        found = {key: mask for key, mask in found.items() if mask.visible}
    assert found.keys() == wanted.keys()
    different = {
        key: found[key].iou_with(wanted[key]) for key in wanted if found[key] != wanted[key]
    }
    assert not different, f"IoU with the core by (object, frame): {different}"
