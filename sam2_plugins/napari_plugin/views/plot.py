"""A plot of one quantity over the frames: a line an object, axes, the theme of the viewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import floor, log10

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPixmap, QPolygonF
from qtpy.QtWidgets import QWidget

from sam2_plugins.napari_plugin.layers.colors import color_of

_LEFT, _TOP, _RIGHT, _BOTTOM = 46, 20, 8, 32
"""Pixels around the lines, for numbers and titles."""


@dataclass(frozen=True, eq=False)
class Lines:
    """What is drawn.

    Attributes
    ----------
    by_label
        Frames and values, [n, 2].
    title, axis
        What the values are, and what is along the other axis, with their units.
    spacing
        From one frame to the next, in the unit of `axis`.
    """

    by_label: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    title: str = ""
    axis: str = "frame"
    spacing: float = 1.0


class Plot(QWidget):
    """Lines over frames; the selected one is thick, the shown frame is marked.

    Parameters
    ----------
    theme
        Returns the name of the viewer's theme.
    """

    def __init__(self, theme: Callable[[], str]) -> None:
        super().__init__()
        self._theme = theme
        self._lines = Lines()
        self._range = (0.0, 1.0, 0.0, 1.0)
        self._selected: int | None = None
        self._frame = 0
        self._picture: tuple[object, QPixmap] | None = None
        self.setMinimumHeight(150)

    def show_lines(self, lines: Lines) -> None:
        """Show other lines."""
        self._lines = lines
        points = [line for line in lines.by_label.values() if len(line)]
        if points:
            x, y = np.concatenate(points).T
            low, high = float(y.min()), float(y.max())
            if low == high:
                low, high = low - 0.5, high + 0.5
            first, last = float(x.min()), float(x.max())
            self._range = first, max(last, first + 1), low, high
        self.update()

    def mark(self, selected: int | None, frame: int) -> None:
        """Show another object's line thick, and mark the shown frame."""
        self._selected, self._frame = selected, frame
        self.update()

    def sizeHint(self) -> QSize:
        """As wide as the dock."""
        return QSize(200, 170)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the lines, which are kept as a picture, and the shown frame over them."""
        key = (self._lines, self._selected, self.size(), self._theme(), self.devicePixelRatioF())
        if self._picture is None or self._picture[0] != key:
            self._picture = key, self._drawn()
        painter = QPainter(self)
        painter.drawPixmap(0, 0, self._picture[1])
        first, last, low, high = self._range
        if self._lines.by_label and first <= self._frame <= last:
            painter.setPen(QPen(self._colour("current"), 1.5))
            painter.drawLine(self._place(self._frame, low), self._place(self._frame, high))
        painter.end()

    def _drawn(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        picture = QPixmap(self.size() * ratio)
        picture.setDevicePixelRatio(ratio)
        picture.fill(self._colour("background"))
        painter = QPainter(picture)
        painter.setFont(self.font())
        if self._lines.by_label:
            self._draw_axes(painter)
            self._draw_lines(painter)
        else:
            painter.setPen(self._colour("text"))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "not measured yet")
        painter.end()
        return picture

    def _draw_axes(self, painter: QPainter) -> None:
        first, last, low, high = self._range
        step = self._lines.spacing
        text, grid = self._colour("text"), self._colour("primary")
        right, middle = Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignVCenter
        centre = Qt.AlignmentFlag.AlignHCenter
        for value in ticks(low, high, 4):
            left, end = self._place(first, value), self._place(last, value)
            painter.setPen(QPen(grid, 1))
            painter.drawLine(left, end)
            painter.setPen(text)
            where = QRectF(0, left.y() - 8, _LEFT - 4, 16)
            painter.drawText(where, right | middle, f"{value:.5g}")
        for value in ticks(first * step, last * step, 5):
            foot = self._place(value / step, low)
            painter.setPen(QPen(grid, 1))
            painter.drawLine(foot, QPointF(foot.x(), foot.y() + 3))
            painter.setPen(text)
            painter.drawText(QRectF(foot.x() - 30, foot.y() + 3, 60, 14), centre, f"{value:.5g}")
        width, height = self.width(), self.height()
        painter.drawText(QRectF(4, 0, width - 8, _TOP - 2), middle, self._lines.title)
        below = QRectF(_LEFT, height - 15, width - _LEFT - _RIGHT, 14)
        painter.drawText(below, centre, self._lines.axis)

    def _draw_lines(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        selected = self._selected
        for label, line in sorted(self._lines.by_label.items(), key=lambda one: one[0] == selected):
            painter.setPen(_pen(label, 2.5 if label == selected else 1.0))
            # No more points than the screen has columns.
            some = line[:: max(1, len(line) // max(self.width(), 1))]
            if len(some) == 1:
                painter.drawPoint(self._place(*some[0]))
            painter.drawPolyline(QPolygonF([self._place(*point) for point in some]))

    def _place(self, frame: float, value: float) -> QPointF:
        first, last, low, high = self._range
        width, height = self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM
        x = (frame - first) / (last - first)
        y = (value - low) / (high - low)
        return QPointF(_LEFT + x * width, _TOP + (1 - y) * height)

    def _colour(self, role: str) -> QColor:
        from napari.utils.theme import get_theme

        return QColor(getattr(get_theme(self._theme()), role).as_hex())


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers within a range, at most so many and a few less."""
    rough = (high - low) / most
    decade = 10.0 ** floor(log10(rough))
    step = next(decade * n for n in (1, 2, 5, 10) if decade * n >= rough)
    numbers = np.arange(np.ceil(low / step), np.floor(high / step + 1e-9) + 1) * step
    return [float(n) for n in numbers]


def _pen(label: int, width: float) -> QPen:
    return QPen(QColor.fromRgbF(*(float(n) for n in color_of(label)[:3])), width)
