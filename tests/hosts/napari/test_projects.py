"""File › Open takes a project: the movie, the dock and all that was made of it are back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tifffile
from qtpy.QtWidgets import QFileDialog, QMessageBox

from sam2_plugins.napari_plugin.views.dock import Sam2Widget
from tests.cli.conftest import moving_discs
from tests.hosts.napari.conftest import Bench
from tests.hosts.napari.test_story import begin, track


@pytest.fixture
def project(make_napari_viewer_proxy: Any, qtbot: Any, tmp_path: Path) -> Path:
    """A project of a tracked movie, made in a window that is closed since."""
    movie = tmp_path / "discs.tif"
    tifffile.imwrite(movie, moving_discs(6)[0])
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.resize(1400, 900)
    viewer.open(str(movie), plugin="napari")
    _, widget = viewer.window.add_plugin_dock_widget("sam2-plugins", "SAM 2")
    bench = Bench(viewer, widget, qtbot)
    bench.until(lambda: bench.canvas.width() > 300)
    viewer.reset_view()
    begin(bench)
    track(bench)
    viewer.close()
    return tmp_path / "discs.sam2"


def test_who_opens_the_dock_hears_what_is_back(
    project: Path, make_napari_viewer_proxy: Any
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    viewer.open(str(project.with_suffix(".tif")), plugin="napari")
    _, widget = viewer.window.add_plugin_dock_widget("sam2-plugins", "SAM 2")
    assert "1 object is back, as saved on" in widget.status.text()


def test_a_project_that_is_named_without_its_suffix_replaces_none_unasked(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(bench)
    other = tmp_path / "other.sam2"
    other.write_text("of another movie")
    asked: list[str] = []

    def refuse(_: object, title: str, question: str) -> QMessageBox.StandardButton:
        asked.append(question)
        return QMessageBox.StandardButton.No

    monkeypatch.setattr(QMessageBox, "question", refuse)
    typed = str(tmp_path / "other")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (typed, ""))
    bench.widget.exports.save_project.click()
    assert asked and "other.sam2 is in this folder" in asked[0]
    assert other.read_text() == "of another movie"


def test_a_project_is_opened_as_a_file(project: Path, make_napari_viewer_proxy: Any) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    viewer.open(str(project), plugin="sam2-plugins")
    (dock,) = viewer.window.dock_widgets.values()
    widget = dock if isinstance(dock, Sam2Widget) else dock.widget()
    assert list(widget.controller.objects) == [1]
    work = widget.controller.work
    assert work is not None
    assert work.workspace.store.frames_of(1) == [(t,) for t in range(6)]
    assert {layer.name for layer in viewer.layers} >= {"discs", "discs masks", "discs clicks"}
