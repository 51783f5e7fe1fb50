"""Fine-tuning from the dock: its options, progress and result."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import QLabel, QProgressBar, QSpinBox, QWidget

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.napari_plugin.controllers.jobs import Jobs
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.finetuning import (
    Learning,
    Lesson,
    annotated,
    place_for,
    summary,
)
from sam2_plugins.napari_plugin.views.widgets import button, column, combo, row
from sam2_plugins.training.finetuning import Settings

_CORRECTED, _ALL = "Frames I clicked or painted on", "All tracked frames"


class LearningView(QWidget):
    """Fine-tune the chosen model on this session's masks, and choose it if it became better.

    Parameters
    ----------
    folder
        Of the new models.
    use
        Called with the file of a model that became better.
    """

    def __init__(
        self, dock: DockModel, jobs: Jobs, folder: Path, use: Callable[[Path], None]
    ) -> None:
        super().__init__()
        self._dock = dock
        self._jobs = jobs
        self._folder = folder
        self._use = use
        self._learning: Learning | None = None
        self.truth = combo("Which of this session's masks are correct, and are learned from")
        self.truth.addItems([_CORRECTED, _ALL])
        self.steps = QSpinBox()
        self.steps.setRange(1, 5000)
        self.steps.setValue(200)
        self.steps.setToolTip("At most; it ends earlier when the model no longer improves")
        self.start = button(
            "Fine-tune",
            "Learn from these masks, in the background",
            lambda: dock.attempt(self.learn),
        )
        self.cancel = button(
            "Cancel", "Stop at the next step; the model stays unchanged", self.stop
        )
        self.bar = QProgressBar()
        self.text = QLabel("")
        self.text.setWordWrap(True)
        controls = row(QLabel("Steps"), self.steps, self.start, self.cancel, wide=self.steps)
        column(self, self.truth, controls, self.bar, self.text)
        self._show_going(False)

    def learn(self) -> None:
        """Begin.

        Raises
        ------
        Sam2PluginsError
            If there are too few masks to learn from, and to judge by.
        """
        dock = self._dock
        if dock.here is None:
            raise Sam2PluginsError("There are no masks to learn from: track an object first.")
        work, line = dock.here
        everything = self.truth.currentText() == _ALL
        movie = annotated(work.session, dock.view(), line, dock.length, everything)
        out = place_for(self._folder, movie.name)
        settings = Settings(steps=self.steps.value(), check_every=min(25, self.steps.value()))
        learning = self._learning = Learning(dock.load_model, movie, out, settings)
        self._show_going(True)
        self.text.setText("Scoring the model …")
        self.bar.setMaximum(0)  # busy
        self._jobs.stream(learning.steps, self._on_lesson, self._on_done, self._on_failed)

    def stop(self) -> None:
        """Stop at the next step."""
        if self._learning is not None:
            self._learning.stop()
            self.text.setText("Stopping …")

    def _on_lesson(self, lesson: Lesson) -> None:
        self.bar.setMaximum(lesson.total)
        self.bar.setValue(lesson.done)
        if lesson.j is not None:
            self.text.setText(f"Step {lesson.done}: J {lesson.j:.2f} on frames set apart")

    def _on_done(self, _: bool) -> None:
        report = None if self._learning is None else self._learning.report
        self._show_going(False)
        if report is None:
            self.text.setText("Stopped: the model is unchanged.")
            return
        self.text.setText(summary(report))
        self._dock.message.emit(summary(report))
        if report.path is not None:
            self._use(report.path)

    def _on_failed(self, error: Exception) -> None:
        self._show_going(False)
        self.text.setText("")
        self._dock.fail(error)

    def _show_going(self, going: bool) -> None:
        self.bar.setVisible(going)
        self.cancel.setVisible(going)
        self.start.setVisible(not going)
