"""The row that starts a run, and turns into its progress."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSpinBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from sam2_plugins.core.tracking.schedule import Direction
from sam2_plugins.napari_plugin.controllers.controller import Controller
from sam2_plugins.napari_plugin.controllers.runs import RunProgress

_ABOUT = {
    "backward": ("Track to earlier frames", "Track through this stack, then the earlier ones"),
    "both": (
        "Track outward from every prompt (G)",
        "Track through this stack, then all others (G)",
    ),
    "forward": (
        "Track to later frames (Shift+G)",
        "Track through this stack, then the later ones (Shift+G)",
    ),
}
"""What a direction does along a movie, and with stacks over time."""


class RunView(QWidget):
    """Back, Both, Forward and a range; while it runs, a bar and Cancel."""

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.back = self._button("◀ Back", "backward")
        self.both = self._button("◀ Both ▶", "both")
        self.forward = self._button("Forward ▶", "forward")
        row = QHBoxLayout()
        for button in (self.back, self.both, self.forward):
            row.addWidget(button)
        self.first, self.last = QSpinBox(), QSpinBox()
        self.last.setMaximum(0)
        self.first.setToolTip("First frame of the run")
        self.last.setToolTip("Last frame of the run")
        limits = QHBoxLayout()
        self._range = QLabel()
        limits.addWidget(self._range)
        limits.addWidget(self.first, 1)
        limits.addWidget(QLabel("to"))
        limits.addWidget(self.last, 1)
        asking = QWidget()
        asked = QVBoxLayout(asking)
        asked.setContentsMargins(0, 0, 0, 0)
        asked.setSpacing(4)
        self.on = QPushButton()
        self.on.clicked.connect(lambda: controller.attempt(controller.runs.track_on))
        self.all = QPushButton("All cells ▶")
        self.all.setToolTip(
            "Track every cell from this frame on, also those that come or divide; what was decided "
            "is offered below the strip, and can be refused"
        )
        self.all.clicked.connect(lambda: controller.attempt(self._track_all))
        asked.addLayout(row)
        asked.addWidget(self.all)
        asked.addWidget(self.on)
        asked.addLayout(limits)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.text = QLabel()
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop at the next frame; what is done is kept")
        self.cancel.clicked.connect(controller.runs.cancel)
        below = QHBoxLayout()
        below.addWidget(self.text, 1)
        below.addWidget(self.cancel)
        going = QWidget()
        gone = QVBoxLayout(going)
        gone.setContentsMargins(0, 0, 0, 0)
        gone.setSpacing(4)
        gone.addWidget(self.bar)
        gone.addLayout(below)
        self._stack = QStackedWidget()
        self._stack.addWidget(asking)
        self._stack.addWidget(going)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._stack)
        controller.progressed.connect(self._on_progress)
        controller.objects_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Say why a run cannot start, and fit the range to the movie."""
        reason = self._controller.runs.why_not()
        for button in (self.back, self.both, self.forward):
            button.setEnabled(not reason)
            stacks = self._controller.over is not None
            button.setToolTip(reason or _ABOUT[button.property("direction")][stacks])
        corrections = self._controller.runs.corrections
        self.on.setVisible(bool(corrections))
        self.on.setEnabled(not reason)
        if corrections:
            names = ", ".join(self._controller.objects[o] for o in list(corrections)[:3])
            first = min(corrections.values())
            self.on.setText(f"Track on from frame {first} ▶ (G)")
            self.on.setToolTip(f"Only {names}, and only what comes after: nothing before changes")
        end = self._controller.runs.length - 1
        self._range.setText("Frames" if self._controller.over is None else "Time points")
        whole = self.last.value() == self.last.maximum()
        for box in (self.first, self.last):
            box.setMaximum(max(end, 0))
        if whole:
            self.last.setValue(end)

    def start_usual(self) -> None:
        """Track on after a correction; both ways, if there was none."""
        if self._controller.runs.corrections:
            self._controller.attempt(self._controller.runs.track_on)
        else:
            self.start("both")

    def start(self, direction: Direction) -> None:
        """Track within the range that is set."""
        first, last = self.first.value(), self.last.value()
        end = self._controller.runs.length - 1
        start, stop = (first or None, None if last == end else last)
        if direction == "backward":
            start, stop = stop, start
        control = self._controller
        control.attempt(lambda: control.runs.start(direction, start, stop))

    def _track_all(self) -> None:
        self._controller.runs.track_all(self.last.value())

    def _button(self, text: str, direction: Direction) -> QPushButton:
        button = QPushButton(text)
        button.setProperty("direction", direction)
        button.clicked.connect(lambda: self.start(direction))
        return button

    def _on_progress(self, progress: RunProgress | None) -> None:
        self._stack.setCurrentIndex(0 if progress is None else 1)
        if progress is None:
            self.refresh()
            return
        self.bar.setMaximum(progress.total)  # 0: busy, until the model is ready
        self.bar.setValue(progress.done)
        if progress.done:
            left = f"{progress.rate:.1f} frames/s, {_time(progress.seconds_left)} left"
            self.text.setText(f"{progress.done} of {progress.total}, {left}")
        else:
            self.text.setText("Getting ready …")


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
