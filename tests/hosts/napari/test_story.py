"""A person's way through napari: click, track, correct, divide, measure, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from superqt import QCollapsible

from sam2_plugins.napari_plugin.models.frame_states import Kind
from tests.cli.conftest import moving_discs
from tests.hosts.napari.conftest import Bench

TRUTH = moving_discs(12)[1]
LEFT, RIGHT = (40, 40), (60, 85)


def begin(bench: Bench, frame: int = 0) -> None:
    """Click on the left disc."""
    bench.show_frame(frame)
    bench.press(bench.widget.tools.click)
    bench.click(LEFT[0], LEFT[1] - frame)


def track(bench: Bench) -> None:
    bench.press(bench.widget.run.forward)
    bench.rest()


def test_a_click_on_a_cell_gives_its_mask(bench: Bench) -> None:
    begin(bench)
    assert bench.iou(0, 1, TRUTH[0] == 1) > 0.8
    assert bench.mask(1, 1) is None


def test_control_click_takes_away(bench: Bench) -> None:
    begin(bench)
    before = bench.mask(0, 1)
    bench.click(40, 50, control=True)
    work = bench.controller.work
    assert work is not None
    assert list(work.workspace.points.features["meaning"]) == ["include", "exclude"]
    assert bench.mask(0, 1) != before


def test_a_key_makes_another_object_and_a_box_says_which(bench: Bench) -> None:
    begin(bench)
    bench.key(Qt.Key.Key_N)
    assert bench.controller.selected == 2
    bench.press(bench.widget.tools.box)
    bench.drag((49, 74), (71, 96))
    bench.rest()
    assert bench.iou(0, 2, TRUTH[0] == 2) > 0.8
    assert bench.widget.objects.tree.topLevelItemCount() == 2


def test_forward_streams_masks_into_the_labels_layer(bench: Bench) -> None:
    begin(bench)
    seen: list[float] = []
    bench.controller.progressed.connect(lambda now: seen.append(0 if now is None else now.done))
    track(bench)
    assert seen == [0, *range(12), 0]  # the click's own frame is not tracked
    work = bench.controller.work
    assert work is not None
    for frame in range(12):
        assert bench.iou(frame, 1, TRUTH[frame] == 1) > 0.7
    assert np.array_equal(
        np.asarray(work.workspace.labels.data[7]) == 1,
        bench.mask(7, 1).to_array(),  # type: ignore[union-attr]
    )
    assert "12 frames tracked" in bench.widget.status.text()
    assert {layer.name for layer in work.workspace.layers()} == {
        "movie masks",
        "movie clicks",
        "movie tracks",
    }


def test_the_frame_that_is_shown_is_drawn_while_it_is_tracked(bench: Bench) -> None:
    begin(bench)
    bench.show_frame(11)
    before = bench.viewer.screenshot(flash=False)
    track(bench)
    bench.until(lambda: not np.array_equal(bench.viewer.screenshot(flash=False), before))
    assert bench.iou(11, 1, TRUTH[11] == 1) > 0.7


def test_cancel_keeps_what_is_there_and_forward_goes_on(bench: Bench) -> None:
    begin(bench)
    bench.controller.progressed.connect(
        lambda now: now is not None and now.done == 3 and bench.press(bench.widget.run.cancel)
    )
    track(bench)
    kept = bench.controller.work.workspace.store.frames_of(1)  # type: ignore[union-attr]
    assert 3 <= len(kept) < 12
    assert "what is done is kept" in bench.widget.status.text()
    bench.controller.progressed.disconnect()
    bench.controller.progressed.connect(bench.widget.run._on_progress)
    track(bench)
    assert len(bench.controller.work.workspace.store.frames_of(1)) == 12  # type: ignore[union-attr]


def test_keys_track_both_ways_within_a_range(bench: Bench) -> None:
    begin(bench, frame=6)
    bench.widget.run.first.setValue(4)
    bench.widget.run.last.setValue(9)
    bench.key(Qt.Key.Key_G)
    bench.rest()
    store = bench.controller.work.workspace.store  # type: ignore[union-attr]
    assert store.frames_of(1) == [(t,) for t in range(4, 10)]


def test_a_painted_frame_is_kept_and_undo_takes_the_run_back(bench: Bench) -> None:
    begin(bench)
    bench.show_frame(5)
    bench.press(bench.widget.tools.brush)
    bench.drag((80, 20), (80, 24))
    bench.until(lambda: bench.mask(5, 1) is not None)
    bench.rest()
    painted = bench.mask(5, 1)
    assert painted is not None and painted.to_array()[80, 22]
    track(bench)
    assert bench.mask(5, 1) == painted
    assert bench.mask(4, 1) is not None
    bench.key(Qt.Key.Key_Z, shift=True)
    store = bench.controller.work.workspace.store  # type: ignore[union-attr]
    assert store.frames_of(1) == [(0,), (5,)]


def test_a_division_shows_in_the_tree_and_in_the_tracks(bench: Bench) -> None:
    begin(bench)
    track(bench)
    bench.show_frame(6)
    bench.key(Qt.Key.Key_U)
    bench.press(bench.widget.tools.click)
    bench.click(40, 34)
    bench.click(60, 91)
    track(bench)
    (mother,) = (bench.widget.objects.tree.topLevelItem(0),)
    assert mother is not None
    assert [mother.child(i).text(0) for i in range(2)] == ["object 1.1", "object 1.2"]
    work = bench.controller.work
    assert work is not None
    assert work.workspace.store.frames_of(1)[-1] == (5,)
    assert work.workspace.tracks.graph == {2: [1], 3: [1]}
    assert bench.iou(11, 3, TRUTH[11] == 2) > 0.7


def test_a_click_on_the_strip_shows_its_frame(bench: Bench) -> None:
    begin(bench)
    track(bench)
    strip = bench.widget.strip
    kinds = [Kind.PROMPTED, Kind.TRACKED]
    bench.until(lambda: [state.kind for state in strip._states][:2] == kinds)
    bench.qtbot.mouseClick(
        strip, Qt.MouseButton.LeftButton, pos=strip.rect().center().__class__(strip.width() - 3, 9)
    )
    assert bench.controller.frame == 11


def test_measures_are_shown_in_the_images_units(bench: Bench) -> None:
    begin(bench)
    track(bench)
    bench.widget.findChildren(QCollapsible)[0].expand(animate=False)
    bench.until(lambda: bench.widget.measures.height() > 200)
    bench.press(bench.widget.measures.measure)
    bench.until(lambda: len(bench.controller.results.measures) == 12)
    rows = bench.controller.results.measures
    assert len(rows) == 12
    assert rows[3]["area_µm2"] == pytest.approx(float(rows[3]["area_px"]) / 4)  # type: ignore
    assert rows[3]["speed_µm_per_frame"] == pytest.approx(0.5, abs=0.25)
    assert bench.widget.measures.table.rowCount() == 12
    assert bench.widget.measures.quantity.findText("area (µm²)") >= 0
    labels = bench.controller.work.workspace.labels  # type: ignore[union-attr]
    assert list(labels.features["index"]) == [1]


def test_a_download_that_fails_is_told_and_the_work_goes_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SAM2_PLUGINS_CACHE", str(tmp_path))
    missing = tmp_path / "missing.pt"
    bench.widget.form.model.setCurrentText(str(missing))
    begin(bench)
    assert "missing.pt" in bench.widget.status.text()
    bench.widget.form.model.setCurrentText("nano")
    bench.click(*LEFT)
    assert bench.iou(0, 1, TRUTH[0] == 1) > 0.8


def test_two_channels_and_the_axis_are_chosen_in_the_form(bench: Bench) -> None:
    bench.viewer.add_image(moving_discs(12)[0], name="second", contrast_limits=(0, 255))
    form = bench.widget.form
    form.image.setCurrentIndex(form.image.findText("movie"))
    (action,) = form._menu.actions()
    action.setChecked(True)
    assert [layer.name for layer in bench.controller.images] == ["movie", "second"]
    begin(bench)
    assert bench.iou(0, 1, TRUTH[0] == 1) > 0.8
