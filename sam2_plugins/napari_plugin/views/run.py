"""The row that starts a run, and turns into its progress."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QProgressBar, QPushButton, QSpinBox, QStackedWidget, QWidget

from sam2_plugins.core.tracking.schedule import Direction
from sam2_plugins.napari_plugin.controllers.runs import RunProgress, Runs
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.views.widgets import button, column, row

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
"""Tooltips of a direction along a movie, and with stacks over time."""
_ALL = (
    "Track every cell from this frame on, also those that come or divide; the decisions of "
    "the run are offered below the strip, and can be refused"
)
_GO_ON = (
    "Continue the run that was interrupted; after a change of yours, a new one begins on the shown "
    "frame instead"
)


class RunView(QWidget):
    """Back, Both, Forward and a range; while it runs, a bar and Cancel."""

    def __init__(self, dock: DockModel, runs: Runs) -> None:
        super().__init__()
        self._dock = dock
        self._runs = runs
        self.back = self._button("◀ Back", "backward")
        self.both = self._button("◀ Both ▶", "both")
        self.forward = self._button("Forward ▶", "forward")
        self.first, self.last = QSpinBox(), QSpinBox()
        self.last.setMaximum(0)
        self.first.setToolTip("First frame of the run")
        self.last.setToolTip("Last frame of the run")
        self.on = button("", "", lambda: dock.attempt(runs.track_on))
        self.all = button("", "", lambda: dock.attempt(lambda: runs.track_all(self.last.value())))
        self._range = QLabel()
        limits = row(self._range, self.first, QLabel("to"), self.last)
        limits.setStretchFactor(self.first, 1)
        limits.setStretchFactor(self.last, 1)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.text = QLabel()
        self.cancel = button("Cancel", "Stop at the next frame; what is done is kept", runs.cancel)
        self._stack = QStackedWidget()
        directions = row(self.back, self.both, self.forward)
        self._stack.addWidget(column(QWidget(), directions, self.all, self.on, limits))
        below = row(self.text, self.cancel, wide=self.text)
        self._stack.addWidget(column(QWidget(), self.bar, below))
        column(self, self._stack)
        runs.progressed.connect(self._on_progress)
        dock.objects_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show why a run cannot start, and adapt the range to the movie."""
        dock, runs = self._dock, self._runs
        reason, corrections = runs.why_not(), runs.corrections
        for each in (self.back, self.both, self.forward):
            each.setEnabled(not reason)
            about = _ABOUT[each.property("direction")][dock.over is not None]
            each.setToolTip(reason or about)
        run = runs.broken_off
        frames = "" if run is None else f": frames {run.taken + 1} to {run.last}"
        self.all.setText(f"Go on with all cells{frames} ▶" if run else "All cells ▶")
        self.all.setToolTip(_GO_ON if run else _ALL)
        self.on.setVisible(bool(corrections))
        self.on.setEnabled(not reason)
        if corrections:
            names = ", ".join(dock.objects[o] for o in list(corrections)[:3])
            first = min(corrections.values())
            self.on.setText(f"Track on from frame {first} ▶ (G)")
            self.on.setToolTip(f"Only {names}, and only what comes after: nothing before changes")
        end = runs.length - 1
        self._range.setText("Frames" if dock.over is None else "Time points")
        whole = self.last.value() == self.last.maximum()
        for box in (self.first, self.last):
            box.setMaximum(max(end, 0))
        if whole:
            self.last.setValue(end)

    def start_usual(self) -> None:
        """Track on after a correction; both ways, if there was none."""
        if self._runs.corrections:
            self._dock.attempt(self._runs.track_on)
        else:
            self.start("both")

    def start(self, direction: Direction) -> None:
        """Track within the range that is set."""
        first, last = self.first.value(), self.last.value()
        end = self._runs.length - 1
        start, stop = (first or None, None if last == end else last)
        if direction == "backward":
            start, stop = stop, start
        self._dock.attempt(lambda: self._runs.start(direction, start, stop))

    def _button(self, text: str, direction: Direction) -> QPushButton:
        made = button(text, "", lambda: self.start(direction))
        made.setProperty("direction", direction)
        return made

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
