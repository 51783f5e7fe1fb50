"""Fine-tuning from the dock: what counts as truth, for how long, how far it is, what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.napari_plugin.controllers.controller import Controller
from sam2_plugins.napari_plugin.models.finetuning import (
    Learning,
    Lesson,
    annotated,
    place_for,
    told,
)
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
        self,
        controller: Controller,
        folder: Path,
        use: Callable[[Path], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._controller = controller
        self._folder = folder
        self._use = use
        self._learning: Learning | None = None
        self.truth = QComboBox()
        self.truth.addItems([_CORRECTED, _ALL])
        self.truth.setToolTip("Which of this session's masks are right, and are learned from")
        self.truth.setMinimumContentsLength(8)
        self.steps = QSpinBox()
        self.steps.setRange(1, 5000)
        self.steps.setValue(200)
        self.steps.setToolTip("At most so many; it ends earlier when it gets no better")
        self.start = QPushButton("Fine-tune")
        self.start.setToolTip("Learn from these masks; the window stays yours meanwhile")
        self.start.clicked.connect(lambda: controller.attempt(self.learn))
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop at the next step; the model stays as it was")
        self.cancel.clicked.connect(self.stop)
        self.bar = QProgressBar()
        self.text = QLabel("")
        self.text.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(QLabel("Steps"))
        row.addWidget(self.steps, 1)
        row.addWidget(self.start)
        row.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.truth)
        layout.addLayout(row)
        layout.addWidget(self.bar)
        layout.addWidget(self.text)
        self._show_going(False)

    def learn(self) -> None:
        """Begin.

        Raises
        ------
        Sam2PluginsError
            If there are too few masks to learn from, and to judge by.
        """
        control = self._controller
        work, line = control.work, control.line
        if work is None or line is None:
            raise Sam2PluginsError("There are no masks to learn from: track an object first.")
        everything = self.truth.currentText() == _ALL
        movie = annotated(work.session, control.view(), line, control.length, everything)
        out = place_for(self._folder, movie.name)
        settings = Settings(steps=self.steps.value(), check_every=min(25, self.steps.value()))
        learning = self._learning = Learning(control.load_model, movie, out, settings)
        self._show_going(True)
        self.text.setText("Looking at how good the model is …")
        self.bar.setMaximum(0)  # busy
        control.jobs.stream(learning.steps, self._on_lesson, self._on_done, self._on_failed)

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
            self.text.setText("Stopped: the model is as it was.")
            return
        self.text.setText(told(report))
        self._controller.told.emit(told(report))
        if report.path is not None:
            self._use(report.path)

    def _on_failed(self, error: Exception) -> None:
        self._show_going(False)
        self.text.setText("")
        self._controller.fail(error)

    def _show_going(self, going: bool) -> None:
        self.bar.setVisible(going)
        self.cancel.setVisible(going)
        self.start.setVisible(not going)
