"""Where layers lie in the world, and what frame of an image the viewer shows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from napari.layers import Image

from sam2_plugins.napari_plugin.layers.placement import micrometres, pixel_size, time_step
from tests.cli.conftest import moving_discs
from tests.napari_plugin.conftest import LEFT, Desk


def test_an_affine_is_the_layers_own_too_and_layers_follow_their_image(
    make_desk: Callable[..., Desk],
) -> None:
    shift = np.eye(4)
    shift[1, 3] = 20
    desk = make_desk(moving_discs(3)[0], affine=shift)
    desk.click(*LEFT)
    (image,) = desk.controller.images
    image.scale = (1, 3, 3)
    image.translate = (0, 5, 7)
    for layer in desk.space.layers():
        assert np.allclose(layer.data_to_world((0, 40, 40)), image.data_to_world((0, 40, 40)))


def test_a_layer_is_let_alone_once_the_dock_is_closed(desk: Desk) -> None:
    desk.click(*LEFT)
    space = desk.space
    desk.controller.close()
    space.image.scale = (9, 9, 9)
    assert np.array_equal(space.labels.scale, (1, 0.5, 0.5))


@pytest.mark.parametrize(
    "options", [{"scale": (1, 1, 1)}, {"scale": (0.25, 1, 1)}, {"translate": (-7, 0, 0)}]
)
def test_the_frame_is_the_images_own_whatever_lies_beside_it(
    make_desk: Callable[..., Desk], options: dict[str, tuple[float, ...]]
) -> None:
    desk = make_desk(moving_discs(8)[0], scale=(3, 1, 1), translate=(6, 0, 0))
    desk.viewer.add_image(np.zeros((40, 96, 128), np.uint8), name="other", **options)
    desk.viewer.dims.set_point(0, 6 + 3 * 5)
    assert desk.controller.frame == 5
    desk.controller.begin()
    desk.controller.go_to_frame(2)
    assert desk.viewer.dims.point[0] == pytest.approx(6 + 3 * 2)
    assert desk.controller.frame == 2


def test_a_division_is_on_the_frame_that_is_shown(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(moving_discs(8)[0])
    desk.viewer.add_image(np.zeros((16, 96, 128), np.uint8), name="finer", scale=(0.5, 1, 1))
    desk.viewer.dims.set_point(0, 0)
    desk.click(*LEFT)
    desk.track()
    desk.viewer.dims.set_point(0, 4)
    desk.controller.divisions.divide()
    assert desk.space.store.frames_of(1)[-1] == (3,)


def test_the_size_of_a_pixel_and_the_time_of_a_frame_are_the_worlds() -> None:
    doubled = np.diag([1.0, 2.0, 2.0, 1.0])
    units = ("min", "um", "um")
    image = Image(np.zeros((3, 8, 9)), scale=(5, 0.5, 0.25), affine=doubled, units=units)
    assert pixel_size(image) == (1.0, 0.5, "µm")
    assert micrometres(image) == (0.5, 1.0)
    assert time_step(image, 0) == 300.0
    bare = Image(np.zeros((3, 8, 9)))
    assert time_step(bare, 0) is None and micrometres(bare) is None


@pytest.mark.parametrize(
    ("scale", "columns"),
    [
        (1, {"area_px", "speed_px_per_frame"}),
        (0.5, {"area_px", "area_unit2", "speed_unit_per_frame"}),
    ],
)
def test_a_scale_without_a_unit_is_not_one_of_pixels(
    make_desk: Callable[..., Desk], scale: float, columns: set[str]
) -> None:
    desk = make_desk(moving_discs(2)[0], scale=(1, scale, scale))
    desk.click(*LEFT)
    desk.track()
    desk.controller.results.measure()
    desk.jobs.run()
    names = desk.controller.results.table.quantities
    assert {name for name in names if name.startswith(("area", "speed"))} == columns


def test_proposals_stay_on_an_image_that_is_moved(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(moving_discs(3)[0])
    desk.controller.proposals.propose()
    desk.jobs.run()
    image, proposals = desk.space.image, desk.viewer.layers["movie proposals"]
    image.translate = (0, 7, 9)
    assert np.allclose(proposals.data_to_world((1, 2, 3)), image.data_to_world((1, 2, 3)))
