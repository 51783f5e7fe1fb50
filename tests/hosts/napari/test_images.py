"""Several images in one window, each with layers of its own."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.cli.conftest import moving_discs
from tests.hosts.napari.conftest import Bench
from tests.hosts.napari.test_story import LEFT, begin


@pytest.fixture
def two(make_bench: Callable[..., Bench]) -> Bench:
    """A movie with an object, and another one, which has one too and is chosen."""
    data = moving_discs(3)[0]
    bench = make_bench(data)
    bench.viewer.add_image(data, name="other", contrast_limits=(0, 255))
    for name in ("movie", "other"):
        choose(bench, name)
        begin(bench)
    return bench


def choose(bench: Bench, name: str) -> None:
    form = bench.widget.form
    form.image.setCurrentIndex(form.image.findText(name))


def masks(bench: Bench, name: str) -> np.ndarray:
    return np.asarray(bench.viewer.layers[f"{name} masks"].data)


def test_a_stroke_is_of_the_image_in_whose_layer_it_is(two: Bench) -> None:
    others = masks(two, "other")
    layer = two.viewer.layers["movie masks"]
    two.viewer.layers.selection.active = layer
    layer.mode = "paint"
    two.drag((80, 20), (80, 24))
    two.rest()
    assert two.widget.form.image.currentText() == "movie"
    two.press(two.widget.run.both)
    two.rest()
    assert masks(two, "movie")[0, 80, 22] == 1
    assert np.array_equal(masks(two, "other"), others)


def test_a_click_after_another_image_was_chosen_is_not_in_the_layer_of_the_one_before(
    two: Bench,
) -> None:
    before = masks(two, "other")
    choose(two, "movie")
    assert not two.widget.tools.click.isChecked()
    two.click(80, 20)
    assert np.array_equal(masks(two, "other"), before)
    two.press(two.widget.tools.click)
    two.click(LEFT[0] + 4, LEFT[1])
    assert len(two.viewer.layers["movie clicks"].data) == 2
    assert len(two.viewer.layers["other clicks"].data) == 1
