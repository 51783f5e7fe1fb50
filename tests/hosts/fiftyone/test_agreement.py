"""FiftyOne's operator gives the masks of the core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone as fo
import pytest

from sam2_plugins.core.prompts import Prompt
from sam2_plugins.fiftyone_plugin.documents import plain
from sam2_plugins.fiftyone_plugin.labels import detection_mask, detection_values
from tests.hosts.fiftyone.conftest import Execute
from tests.support import agreement
from tests.support.agreement import BOXES, CLICKS, HEIGHT, MASK_AND_BOX, WIDTH, Story, assert_alike


def label_of(prompt: Prompt) -> Any:
    """A label as a person would make it."""
    values = {"label": "cell", "index": prompt.obj}
    if prompt.mask is not None:
        return fo.Detection(**values, **detection_values(prompt.mask))
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        box = [x0 / WIDTH, y0 / HEIGHT, (x1 - x0) / WIDTH, (y1 - y0) / HEIGHT]
        return fo.Detection(**values, bounding_box=box)
    assert prompt.points is not None
    # FiftyOne measures from the corner of a picture, the core from the middle of its first pixel.
    points = [((x + 0.5) / WIDTH, (y + 0.5) / HEIGHT) for x, y in prompt.points.xy]
    return fo.Keypoint(**values, points=points, sam2_labels=list(prompt.points.labels))


@pytest.mark.parametrize("story", [BOXES, CLICKS, MASK_AND_BOX])
def test_the_operator_agrees_with_the_core(
    dataset: Any, execute: Execute, tmp_path: Path, story: Story
) -> None:
    movie = agreement.write_movie(tmp_path / "cells.mp4")
    sample = fo.Sample(str(movie))
    for frame in {prompt.frame for prompt in story.prompts}:
        here = [label_of(prompt) for prompt in story.prompts if prompt.frame == frame]
        shapes = [one for one in here if isinstance(one, fo.Detection)]
        points = [one for one in here if isinstance(one, fo.Keypoint)]
        sample.frames[frame + 1] = fo.Frame(
            shapes=fo.Detections(detections=shapes), clicks=fo.Keypoints(keypoints=points)
        )
    dataset.add_sample(sample)
    execute("propagate_masks", dataset, prompt_fields=["shapes", "clicks"], direction="both")
    dataset.reload()
    found = {
        (one.index, number - 1): detection_mask(plain(one), (HEIGHT, WIDTH))
        for number, frame in dataset.first().frames.items()
        for one in frame.sam2.detections
    }
    assert_alike(found, agreement.core_masks(movie, story), empty=False)
