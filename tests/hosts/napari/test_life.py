"""Closing, removing and changing things in mid-run; the manifest; how the dock fits."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt

from tests.cli.conftest import moving_discs
from tests.hosts.napari.conftest import Bench
from tests.hosts.napari.test_story import begin


def start(bench: Bench) -> None:
    """Track, and come back after the first frames."""
    begin(bench)
    seen: list[int] = []
    bench.controller.progressed.connect(lambda now: now is not None and seen.append(now.done))
    bench.press(bench.widget.run.forward)
    bench.until(lambda: max(seen, default=0) >= 2)


@pytest.fixture
def long_bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench(moving_discs(60)[0])


def test_removing_the_image_in_mid_run_stops_it(long_bench: Bench) -> None:
    start(long_bench)
    long_bench.viewer.layers.remove("movie")
    long_bench.rest()
    assert long_bench.controller.work is None
    assert long_bench.widget.form.image.count() == 0


def test_removing_the_masks_in_mid_run_stops_it_and_one_can_begin_again(long_bench: Bench) -> None:
    start(long_bench)
    long_bench.viewer.layers.remove("movie masks")
    long_bench.rest()
    begin(long_bench)
    assert long_bench.mask(0, 1) is not None


def test_changing_the_image_in_mid_run_lets_the_run_go_on(long_bench: Bench) -> None:
    start(long_bench)
    store = long_bench.controller.work.workspace.store  # type: ignore[union-attr]
    long_bench.viewer.add_image(moving_discs(60)[0], name="other")
    form = long_bench.widget.form
    form.image.setCurrentIndex(form.image.findText("other"))
    assert long_bench.controller.work is None
    long_bench.rest()
    assert len(store.frames_of(1)) == 60
    form.image.setCurrentIndex(form.image.findText("movie"))
    assert list(long_bench.controller.objects) == [1]


def test_clearing_all_layers_in_mid_run(long_bench: Bench) -> None:
    start(long_bench)
    long_bench.viewer.layers.clear()
    long_bench.rest()
    assert long_bench.controller.objects == {}


def test_closing_the_dock_in_mid_run_stops_it_and_leaves_the_layers(long_bench: Bench) -> None:
    start(long_bench)
    controller = long_bench.controller
    long_bench.viewer.window.remove_dock_widget(long_bench.widget)
    assert controller.closed
    names = [layer.name for layer in long_bench.viewer.layers]
    assert "movie masks" in names
    long_bench.viewer.layers["movie clicks"].add([0, 60, 85])
    long_bench.key(Qt.Key.Key_N)
    assert [layer.name for layer in long_bench.viewer.layers] == names


def test_closing_napari_in_mid_run(long_bench: Bench) -> None:
    start(long_bench)
    dock = long_bench.widget
    long_bench.viewer.close()
    assert dock.controller.closed
    assert not dock.jobs.busy


def test_a_closed_dock_is_not_kept_alive(bench: Bench) -> None:
    begin(bench)
    gone = weakref.ref(bench.controller)
    bench.viewer.window.remove_dock_widget(bench.widget)
    bench.widget.deleteLater()
    bench.widget = None  # type: ignore[assignment]

    def is_gone() -> bool:
        gc.collect()
        return gone() is None

    bench.until(is_gone)
    assert gone() is None


def test_the_dock_is_not_wider_than_napari_gives_it(bench: Bench) -> None:
    assert bench.widget.body.minimumSizeHint().width() <= 310


def test_a_button_that_cannot_be_pressed_says_why(bench: Bench) -> None:
    run = bench.widget.run
    for button in (run.back, run.both, run.forward):
        assert not button.isEnabled()
        assert "Click on an object first" in button.toolTip()
    begin(bench)
    assert run.forward.isEnabled() and "later frames" in run.forward.toolTip()


@pytest.mark.parametrize("kind", ["rgb", "volume", "single", "float", "multiscale"])
def test_any_kind_of_image_is_clicked_on(make_bench: Callable[..., Bench], kind: str) -> None:
    movie = moving_discs(4)[0]
    options: dict[str, Any] = {"multiscale": [movie, movie[:, ::2, ::2]], "single": movie[0]}
    data = {
        "rgb": np.repeat(movie[..., None], 3, axis=-1),
        "volume": np.stack([movie] * 3, axis=1),
        "float": movie / np.float32(255),
    }
    limits = (0.0, 1.0) if kind == "float" else (0, 255)
    bench = make_bench(
        data.get(kind, options.get(kind)),
        contrast_limits=None if kind == "rgb" else limits,
        rgb=kind == "rgb",
        multiscale=kind == "multiscale",
    )
    bench.press(bench.widget.tools.click)
    bench.click(40, 40)
    work = bench.controller.work
    assert work is not None
    masks = work.workspace.store.on_frame(work.workspace.step)
    assert 300 < masks[1].area < 600
    if kind != "single":
        bench.press(bench.widget.run.forward)
        bench.rest()
        assert len(work.workspace.store.frames_of(1)) == 4


@pytest.mark.parametrize("key", ["synthetic"])
def test_the_sample_opens(make_napari_viewer_proxy: Any, key: str) -> None:
    viewer = make_napari_viewer_proxy()
    (layer,) = viewer.open_sample("sam2-plugins", key)
    assert layer.ndim == 3 and layer.data.dtype == np.uint16


@pytest.mark.parametrize("key", [Qt.Key.Key_N, Qt.Key.Key_G])
def test_a_key_without_an_image_is_told_of_and_shows_no_traceback(bench: Bench, key: Any) -> None:
    bench.controller.use([])
    told: list[str] = []
    bench.controller.failed.connect(told.append)
    bench.key(key)
    bench.until(lambda: bool(told))
    assert "image" in told[0]
