"""Masks made tidy, and kept so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.napari_plugin.models.cleanup import fill_holes, largest_part, smooth
from tests.napari_plugin.conftest import LEFT, Desk
from tests.support.movies import disc

SIZE = (40, 50)


def disc_with_flaws() -> np.ndarray:
    """A disc with a hole, a thorn, and a speck beside it."""
    pixels = disc(SIZE, (20, 20), 10.9)
    pixels[18:21, 18:21] = False
    pixels[20, 30:36] = True
    pixels[5, 45] = True
    return pixels


def test_a_hole_is_filled() -> None:
    mask = fill_holes(ObjectMask.from_array(disc_with_flaws(), 0.8, 3.0))
    assert mask.to_array()[19, 19] and mask.iou == 0.8
    assert mask.area == disc_with_flaws().sum() + 9


def test_a_speck_goes() -> None:
    mask = largest_part(ObjectMask.from_array(disc_with_flaws()))
    assert not mask.to_array()[5, 45] and mask.area == disc_with_flaws().sum() - 1


def test_a_thorn_is_smoothed_and_the_size_stays() -> None:
    flawed = ObjectMask.from_array(disc_with_flaws())
    mask = smooth(largest_part(fill_holes(flawed)))
    assert not mask.to_array()[20, 34]
    assert abs(mask.area - np.pi * 11**2) < 15


def test_an_object_that_the_frame_cuts_stays_cut() -> None:
    mask = smooth(ObjectMask.from_box((0, 5, 12, 25), SIZE))
    assert mask.to_array()[8:22, 0].all()


def test_what_is_cleaned_stays_clean_in_later_runs_and_undo_brings_it_back(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track()
    store = desk.space.store
    own = store.get((3,), 1)
    assert own is not None
    pixels = own.to_array()
    pixels[1:3, 1:3] = True
    store.put((3,), 1, replace(own, crop=pixels, offset=(0, 0)))
    desk.session.tidied.clear()
    desk.controller.go_to_frame(3)
    desk.controller.clean("Drop small parts")
    cleaned = store.get((3,), 1)
    assert cleaned == own
    desk.undo()
    assert store.get((3,), 1) != own
    desk.redo()
    assert store.get((3,), 1) == own


def test_a_run_that_computes_nothing_leaves_cleaned_masks_alone(desk: Desk) -> None:
    desk.click(*LEFT)
    desk.track()
    own = desk.space.store.get((4,), 1)
    desk.controller.clean("Smooth outline", everywhere=True)
    smoothed = desk.space.store.get((4,), 1)
    assert smoothed != own
    desk.track("both")
    assert desk.space.store.get((4,), 1) == smoothed
