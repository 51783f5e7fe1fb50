"""napari's controller gives the masks of the core."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.prompts import Prompt
from tests.napari_plugin.conftest import Desk
from tests.support import agreement
from tests.support.agreement import BOXES, CLICKS, MASK_AND_BOX, Story, assert_alike


def tell(desk: Desk, prompt: Prompt) -> None:
    """Give a prompt as a person does: select the object, go to the frame, click, draw or paint."""
    known = desk.controller.objects if desk.controller.work else ()
    while prompt.obj not in known:
        desk.controller.new_object()
        known = desk.controller.objects
    desk.viewer.dims.set_point(0, prompt.frame)
    desk.controller.select(prompt.obj)
    for (x, y), label in (
        zip(prompt.points.xy, prompt.points.labels, strict=True) if prompt.points else ()
    ):
        desk.click(y, x, exclude=not label)
    if prompt.box:
        x0, y0, x1, y1 = prompt.box
        desk.box(y0, x0, y1, x1)
    if prompt.mask is not None:
        ys, xs = np.nonzero(prompt.mask.to_array())
        desk.space.labels.data_setitem((np.full_like(ys, prompt.frame), ys, xs), prompt.obj)
        desk.jobs.run()


@pytest.mark.parametrize("story", [BOXES, CLICKS, MASK_AND_BOX])
def test_napari_agrees_with_the_core(
    make_desk: Callable[..., Desk], tmp_path: Path, story: Story
) -> None:
    movie = agreement.write_movie(tmp_path / "cells.mp4")
    with open_frames(movie) as frames:
        pixels = np.stack([frames[i].image for i in range(agreement.FRAMES)])
    desk = make_desk(pixels, rgb=True)
    for prompt in story.prompts:
        tell(desk, prompt)
    desk.track("both")
    assert not desk.failures
    found = {
        (label, index[0]): mask
        for index, masks in desk.space.store.snapshot().items()
        for label, mask in masks.items()
    }
    # One click at a time: what was given together is given one after the other.
    clicks = [
        Prompt.of(p.frame, p.obj, points=[xy], labels=[on]) if p.points else p
        for p in story.prompts
        for xy, on in (
            zip(p.points.xy, p.points.labels, strict=True) if p.points else [(None, None)]
        )
    ]
    assert_alike(found, agreement.core_masks(movie, Story(tuple(clicks))))
