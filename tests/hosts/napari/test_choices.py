"""What is chosen in the form stays chosen while layers come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import moving_discs
from tests.hosts.napari.conftest import Bench

ACTS: dict[str, Callable[[Any], Any]] = {
    "a layer is added": lambda layers: None,
    "a layer is removed": lambda layers: layers.remove("other"),
    "a layer is renamed": lambda layers: setattr(layers["other"], "name", "another"),
    "a channel is renamed": lambda layers: setattr(layers["green"], "name", "cytoplasm"),
    "layers are reordered": lambda layers: layers.reverse(),
}


@pytest.fixture
def volume_bench(make_bench: Callable[..., Bench]) -> Bench:
    """A red and a green channel (T, Z, Y, X), and another image."""
    volume = np.stack([moving_discs(4)[0]] * 3, axis=1)
    bench = make_bench(volume, name="red")
    bench.viewer.add_image(volume, name="green", contrast_limits=(0, 255))
    bench.viewer.add_image(volume[:, 0], name="other", contrast_limits=(0, 255))
    form = bench.widget.form
    form.image.setCurrentIndex(form.image.findText("red"))
    (action,) = form._menu.actions()
    action.setChecked(True)
    form.axis.setCurrentIndex(1)
    return bench


@pytest.mark.parametrize("act", ACTS)
def test_channels_and_axis_survive(volume_bench: Bench, act: str) -> None:
    controller, form = volume_bench.controller, volume_bench.widget.form
    images = controller.images
    volume_bench.press(volume_bench.widget.tools.click)
    ACTS[act](volume_bench.viewer.layers)
    assert controller.images == images
    assert controller.axis == 1
    assert form.channels.text() == " + ".join(image.name for image in images)
    assert form.axis.currentData() == 1


def test_a_removed_channel_goes_and_the_image_stays(volume_bench: Bench) -> None:
    volume_bench.viewer.layers.remove("green")
    assert [image.name for image in volume_bench.controller.images] == ["red"]
    assert volume_bench.controller.axis == 1


def test_each_image_has_its_own_choices(volume_bench: Bench) -> None:
    form = volume_bench.widget.form
    form.image.setCurrentIndex(form.image.findText("other"))
    assert volume_bench.controller.axis == 0
    form.image.setCurrentIndex(form.image.findText("red"))
    assert volume_bench.controller.axis == 1
    assert [image.name for image in volume_bench.controller.images] == ["red", "green"]


def test_label_images_are_the_first_export(bench: Bench) -> None:
    assert bench.widget.exports.kind.currentData() == "tiff"
