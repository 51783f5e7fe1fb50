"""The dock: one column, from the image at the top to the export at the bottom."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platformdirs import user_data_path
from qtpy.QtCore import QEvent, QSettings, Qt
from qtpy.QtGui import QCloseEvent, QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QGroupBox,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible, ensure_main_thread
from superqt.utils import qdebounced, qthrottled

from sam2_plugins.napari_plugin.controllers import Controller, InThreads
from sam2_plugins.napari_plugin.views.all_cells import OffersView, ProposalsView
from sam2_plugins.napari_plugin.views.event_filters import DockKeys, QuietWheel
from sam2_plugins.napari_plugin.views.export import ExportView
from sam2_plugins.napari_plugin.views.finetuning import LearningView
from sam2_plugins.napari_plugin.views.frame_strip import FrameStrip
from sam2_plugins.napari_plugin.views.image_form import MODELS, SETTINGS, ImageForm
from sam2_plugins.napari_plugin.views.measures import MeasureView
from sam2_plugins.napari_plugin.views.objects import ObjectsView
from sam2_plugins.napari_plugin.views.run import RunView
from sam2_plugins.napari_plugin.views.tools import ToolsView
from sam2_plugins.napari_plugin.views.widgets import column

if TYPE_CHECKING:
    from sam2_plugins.core.model import Sam2Model

REDRAW_MS = 100
"""Between two redraws while a run goes on."""

STROKE_MS = 300
"""Without another touch of the brush, a stroke is over."""


class Sam2Widget(QWidget):
    """Segment and track with SAM 2.

    Parameters
    ----------
    napari_viewer
        napari gives it by this name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.jobs = InThreads()
        self.controller = Controller(napari_viewer, self.jobs, self._load_model)
        places = self.controller.projects.places
        places.recovery = user_data_path("sam2_plugins") / "napari"
        places.chosen = _Remembered("projects")
        dock, parts = self.controller.dock, self.controller
        self.status = QLabel("Choose an image, press Click, and click on an object.")
        self.status.setWordWrap(True)
        self.status.setAlignment(Qt.AlignmentFlag.AlignTop)
        dock.message.connect(self._on_message)
        dock.failed.connect(self._on_failed)
        # It chooses an image that is open: then there is something to tell already.
        self.form = ImageForm(dock, parts.layers, parts.projects)
        self.objects = ObjectsView(dock, parts.editing, parts.divisions)
        self.tools = ToolsView(dock, parts.layers, parts.editing, parts.prompting, parts.edits)
        self.strip = FrameStrip()
        self.strip_all = QCheckBox("All objects")
        self.strip_all.setToolTip(
            "The strip shows the worst of all objects, not the selected one alone; J and K go to "
            "its doubtful frames, and select the object"
        )
        self.run = RunView(dock, parts.runs)
        self.proposals = ProposalsView(dock, parts.proposals)
        self.offers = OffersView(dock, parts.offers)
        self.measures = MeasureView(dock, parts.results)
        self.exports = ExportView(dock, parts.results, parts.projects)
        self.learning = LearningView(dock, self.jobs, MODELS, self.form.use_model)
        self._lay_out()
        self._connect()
        self._bind_keys()
        # napari imports it with the first layer that has features: seconds, with the first click.
        self.jobs.call(lambda: import_module("pandas"), lambda _: None, lambda _: None)
        # When napari is closed, widgets are deleted without being closed.
        self.destroyed.connect(partial(_let_go, self.controller, self.jobs))

    # -- parts

    def _lay_out(self) -> None:
        self.body = column(
            QWidget(),
            self.form,
            _group("Objects", self.objects),
            _group("Prompt", self.tools, self.proposals),
            _group("Track", self.strip, self.strip_all, self.offers, self.run),
            _section("Measure", self.measures),
            _section("Export", self.exports),
            _section("Fine-tune", self.learning),
            None,
            margin=6,
        )
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(self.body)
        self._quiet_wheel = QuietWheel(self)
        self._quiet_wheel.watch(self.body)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        # Outside of the scrolled part, so that messages are always visible.
        self.status.setMargin(6)
        outer.addWidget(self.status)
        outer.addWidget(scroll, 1)

    def _connect(self) -> None:
        dock = self.controller.dock
        dock.masks_changed.connect(self._redraw_soon)
        dock.objects_changed.connect(self._redraw_soon)
        dock.painted.connect(self._stroke_may_be_over)
        self.controller.runs.progressed.connect(self._on_progress)
        self.strip.chosen.connect(dock.go_to)
        self.strip_all.toggled.connect(self._on_strip_all)
        self.viewer.dims.events.point.connect(self._redraw_soon)

    def _bind_keys(self) -> None:
        controller = self.controller
        self._keys: dict[str, Callable[[], object]] = {
            "N": controller.new_object,
            "Q": lambda: self.tools.exclude.toggle(),
            "U": controller.divisions.divide,
            "G": self.run.start_usual,
            "Shift-G": lambda: self.run.start("forward"),
            "J": lambda: controller.go_to_doubtful(forward=False),
            "K": lambda: controller.go_to_doubtful(forward=True),
            "Shift-Z": controller.undo,
            "Control-Z": controller.undo,
            "Control-Shift-Z": controller.redo,
        }
        # Layers have keys of their own, such as the brush's undo, which come before the viewer's.
        controller.layers.keys = keys = {key: self._bound(act) for key, act in self._keys.items()}
        for key, act in keys.items():
            self.viewer.bind_key(key, act, overwrite=True)
        # The viewer's keys are not those of a table or a button that was clicked on.
        attempts = {key: partial(controller.attempt, act) for key, act in self._keys.items()}
        self._dock_keys = DockKeys(attempts, self)
        self._dock_keys.watch(self.body)

    def _bound(self, act: Callable[[], object]) -> Callable[[Any], None]:
        """Make what napari takes for a key: a function proper, of the viewer."""

        def on_key(_: Any) -> None:
            self.controller.attempt(act)

        return on_key

    # -- what happens

    def _on_message(self, text: str) -> None:
        self.status.setText(text)

    def _on_failed(self, text: str) -> None:
        from napari.utils.notifications import show_warning

        self.status.setText(text)
        show_warning(text)

    @qthrottled(timeout=REDRAW_MS)
    def _redraw_soon(self, *_: Any) -> None:
        dock = self.controller.dock
        if dock.closed:
            return
        self.strip.show_states(self.controller.review.shown_states(), dock.frame, dock.objects)
        self.measures.redraw()
        if dock.running and dock.work is not None and dock.shown_is_stale:
            dock.shown_is_stale = False
            dock.work.workspace.refresh()

    @qdebounced(timeout=STROKE_MS)
    def _stroke_may_be_over(self) -> None:
        if not self.controller.closed:
            self.controller.attempt(self.controller.prompting.sync)

    def _on_strip_all(self, on: bool) -> None:
        self.controller.all_objects = on
        self._redraw_soon()

    def _on_progress(self, progress: object) -> None:
        if progress is None:
            self.objects.refresh()

    def show_project(self, image: Any, path: Path) -> None:
        """Choose an image, and bring the saved work on it back."""
        self.form.image.setCurrentIndex(self.form.image.findData(image))
        self.controller.attempt(lambda: self.controller.projects.open(path))

    def _load_model(self) -> Sam2Model:
        """Load the chosen model; in a worker."""
        from sam2_plugins.core.checkpoints import cached_model

        name = self.form.model_name
        model = cached_model(name, on_progress=self._on_download)
        self.form.remember_model(name)
        return model

    @ensure_main_thread
    def _on_download(self, done: int, total: int | None) -> None:
        of_all = f" of {total / 1e6:.0f}" if total else ""
        self.status.setText(f"Downloading {self.form.model_name}: {done / 1e6:.0f}{of_all} MB …")

    def event(self, event: QEvent | None) -> bool:
        """Detect that napari removes the dock, which does not close its widget."""
        handled: bool = super().event(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            self.close_all()
        return handled

    def showEvent(self, event: QShowEvent | None) -> None:
        """Reserve two lines for messages, so that no button moves when one is long."""
        super().showEvent(event)
        text = self.status.text()
        self.status.setText("two\nlines")  # in napari's font, which it has only now
        self.status.setMinimumHeight(self.status.sizeHint().height())
        self.status.setText(text)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Stop the work, and let go of the viewer."""
        self.close_all()
        super().closeEvent(event)

    def close_all(self) -> None:
        """Stop the work, and let go of the viewer."""
        if self.controller.closed:
            return
        self._redraw_soon.cancel()
        self._stroke_may_be_over.cancel()
        for key in self._keys:
            self.viewer.bind_key(key, None, overwrite=True)
        self.viewer.dims.events.point.disconnect(self._redraw_soon)
        self.form.close_events()
        _let_go(self.controller, self.jobs)


class _Remembered(dict[str, str]):
    """Texts by name that are there again the next time."""

    def __init__(self, name: str) -> None:
        self._name = name
        super().__init__(json.loads(str(QSettings(*SETTINGS).value(name, "{}"))))

    def __setitem__(self, key: str, value: str) -> None:
        super().__setitem__(key, value)
        QSettings(*SETTINGS).setValue(self._name, json.dumps(self))


def _let_go(controller: Controller, jobs: InThreads, *_: object) -> None:
    """Stop all work, without notifying the widgets."""
    jobs.close()
    controller.close()


def _group(title: str, *parts: QWidget) -> QWidget:
    group = QGroupBox(title)
    group.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
    return column(group, *parts, margin=6)


def _section(title: str, part: QWidget) -> QWidget:
    section = QCollapsible(title)
    section.layout().setContentsMargins(0, 0, 0, 0)
    section.addWidget(part)
    return section
