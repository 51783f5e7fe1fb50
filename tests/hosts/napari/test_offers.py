"""What the dock offers beside clicks: stacks, clean-up, plots, fine-tuning, frames on disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from scipy import ndimage
from superqt import QCollapsible

from sam2_plugins.napari_plugin.controllers.runs import RunProgress
from sam2_plugins.napari_plugin.models.frame_states import Kind
from sam2_plugins.napari_plugin.views import dock, finetuning, image_form
from sam2_plugins.training.finetuning import Settings
from tests.cli.conftest import moving_discs
from tests.hosts.napari.conftest import PATIENCE_MS, Bench
from tests.hosts.napari.test_story import LEFT, RIGHT, begin, track
from tests.napari_plugin.test_all_cells import dividing_cells
from tests.napari_plugin.test_volumes import PLANES, TIMES, ball


def test_stacks_are_tracked_with_the_usual_buttons(make_bench: Callable[..., Bench]) -> None:
    bench = make_bench(ball()[0], axis_labels=("t", "z", "y", "x"))
    axis = bench.widget.form.axis
    assert axis.itemText(2) == "z, at every t"
    axis.setCurrentIndex(2)
    bench.viewer.dims.set_point((0, 1), (0, 1))
    bench.press(bench.widget.tools.click)
    bench.rest()
    bench.click(30, 22)
    assert bench.widget.run.last.maximum() == TIMES - 1
    bench.press(bench.widget.run.forward)
    bench.until(lambda: not bench.controller.runs.running)
    bench.rest()
    work = bench.controller.work
    assert work is not None
    assert len(work.workspace.store.frames_of(1)) == TIMES * PLANES
    assert len(work.workspace.tracks.data) == TIMES


def test_the_strip_shows_the_worst_of_all_objects(bench: Bench) -> None:
    begin(bench)
    bench.click(*RIGHT)
    track(bench)
    work = bench.controller.work
    assert work is not None and bench.controller.selected == 2
    work.workspace.store.put((6,), 1, None)
    work.workspace.store.put((6,), 1, work.workspace.store.get((0,), 2))
    bench.widget.strip_all.click()
    strip = bench.widget.strip
    bench.until(lambda: len(strip._states) == 12 and strip._states[6].kind is Kind.DOUBTFUL)
    bench.show_frame(5)
    bench.key(Qt.Key.Key_K)
    assert (bench.controller.frame, bench.controller.selected) == (6, 1)


def test_a_clean_up_from_the_menu_is_undone_by_a_key(bench: Bench) -> None:
    begin(bench)
    before = bench.mask(0, 1)
    menu = bench.widget.objects.clean.menu()
    assert menu is not None and before is not None
    (action,) = (one for one in menu.actions() if one.text() == "Smooth outline")
    action.trigger()
    assert bench.mask(0, 1) != before
    bench.key(Qt.Key.Key_Z, shift=True)
    bench.rest()
    assert bench.mask(0, 1) == before


def test_a_plot_follows_the_theme(bench: Bench) -> None:
    begin(bench)
    bench.widget.findChildren(QCollapsible)[0].expand(animate=False)
    bench.widget.measures.measure.click()
    bench.until(lambda: len(bench.controller.results.measures) == 1)
    plot = bench.widget.measures.plot
    dark = plot.grab().toImage().pixelColor(2, 2).lightness()
    bench.viewer.theme = "light"
    assert plot.grab().toImage().pixelColor(2, 2).lightness() > dark + 100


def test_fine_tuning_says_what_is_missing(bench: Bench) -> None:
    begin(bench)
    bench.widget.learning.start.click()
    assert "8 are needed at least" in bench.widget.status.text()


def test_a_model_that_was_fine_tuned_is_in_the_list(
    make_bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_form, "MODELS", tmp_path)
    mine = tmp_path / "hela-2026.safetensors"
    mine.touch()
    form = make_bench(np.zeros((2, 32, 32), np.uint8)).widget.form
    assert form.model.findText(str(mine)) >= 0
    form.use_model(mine)
    assert form.model_name == str(mine) and form.model.findText(str(mine)) >= 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_model_that_learns_what_a_person_means_is_chosen(
    make_bench: Callable[..., Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dock, "MODELS", tmp_path)
    few_long_steps = partial(Settings, rate=2e-3, clips=1, objects=1)
    monkeypatch.setattr(finetuning, "Settings", few_long_steps)
    movie, labels = moving_discs(8)
    bench = make_bench(movie)
    # The person means the disc and its surroundings, which the model does not.
    meant = np.stack([ndimage.binary_dilation(plane == 1, iterations=6) for plane in labels])
    layer = bench.viewer.add_labels(meant.astype(np.uint8), name="meant")
    for frame in range(len(movie)):
        bench.show_frame(frame)
        bench.controller.prompting.use_labels(layer)
        bench.rest()
    learning = bench.widget.learning
    learning.steps.setValue(4)
    learning.start.click()
    assert learning.bar.isVisibleTo(learning) and not learning.start.isVisibleTo(learning)
    bench.qtbot.waitUntil(lambda: learning.start.isVisibleTo(learning), timeout=5 * PATIENCE_MS)
    (kept,) = tmp_path.glob("*.safetensors")
    pairs = re.findall(r"(\d\.\d\d) → (\d\.\d\d)", learning.text.text())
    assert len(pairs) == 3 and all(before <= after for before, after in pairs)
    assert bench.widget.form.model_name == str(kept)
    bench.show_frame(0)
    bench.press(bench.widget.tools.click)
    bench.controller.new_object()
    bench.click(60, 85)
    assert bench.mask(0, 2) is not None  # by the new model


def test_frames_are_kept_on_disk_by_choice(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_form, "_folder", lambda: tmp_path)
    assert bench.controller.features is None
    bench.widget.form.features.click()
    begin(bench)
    assert list(tmp_path.glob("*/*.safetensors"))
    bench.click(*LEFT)


def test_proposals_are_refused_by_a_click_and_newcomers_are_offered(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(dividing_cells()[0])
    view = bench.widget.proposals
    bench.press(view.propose)
    bench.until(lambda: len(bench.controller.proposals.masks) == 2)
    assert view.accept.text() == "Accept 2 of 2"
    bench.click(90, 40)
    assert view.accept.text() == "Accept 1 of 2"
    bench.press(view.accept)
    bench.rest()
    assert list(bench.controller.objects) == [1] and not view.accept.isVisible()
    bench.press(bench.widget.run.all)
    bench.rest()
    offers = bench.widget.offers
    assert offers.isVisible() and "is new" in offers.text.text()
    bench.press(offers.show_it)
    due = bench.controller.offers.due
    assert (bench.controller.frame, bench.controller.selected) == (due[0].frame, *due[0].labels)
    objects = len(bench.controller.objects)
    bench.press(offers.refuse)
    assert len(bench.controller.objects) == objects - 1
    bench.press(bench.widget.tools.undo)
    bench.rest()
    assert len(bench.controller.objects) == objects


def test_all_cells_goes_on_after_a_cancel_with_the_same_button(
    make_bench: Callable[..., Bench],
) -> None:
    bench = make_bench(dividing_cells()[0])
    run = bench.widget.run

    def cancel(progress: RunProgress | None) -> None:
        if progress is not None and progress.done == 1:
            run.cancel.click()

    bench.controller.progressed.connect(cancel)
    bench.press(run.all)
    bench.rest()
    assert re.fullmatch(r"Go on with all cells: frames [1-7] to 7 ▶", run.all.text())
    bench.controller.progressed.disconnect(cancel)
    bench.press(run.all)
    bench.rest()
    assert run.all.text() == "All cells ▶"
    work = bench.controller.work
    assert work is not None
    assert [len(work.workspace.store.frames_of(label)) for label in (1, 2, 3)] == [8, 8, 4]
