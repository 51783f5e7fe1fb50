"""The log of a training run as a picture: `python -m sam2_plugins.training.plot LOG.csv PNG`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.evaluation.report import new_figure

_WINDOW = 10  # rows; each is the mean of 20 steps


def draw_log(log: Path, picture: Path) -> None:
    """Draw loss and IoU against steps.

    Raises
    ------
    ExportError
        If matplotlib is not installed.
    """
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    column = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    figure = new_figure(9, 3.2)
    left, right = figure.subplots(1, 2)
    left.plot(column["step"], column["loss"], color="0.8", linewidth=0.8)
    left.plot(column["step"], _smooth(column["loss"]), color="C0")
    left.set(title="Loss", xlabel="step")
    for name, title in (("click_iou", "after a click"), ("last_iou", "tracked, last frame")):
        right.plot(column["step"], _smooth(column[name]), label=title)
    right.set(title="IoU on synthetic batches", xlabel="step", ylim=(0, 1))
    right.legend(loc="lower right")
    figure.savefig(picture, dpi=110)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Running mean over the rows that know a value."""
    window = min(_WINDOW, len(values))
    known = np.isfinite(values)
    total = np.convolve(np.where(known, values, 0), np.ones(window), "same")
    count = np.convolve(known, np.ones(window), "same")
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


if __name__ == "__main__":
    draw_log(*map(Path, sys.argv[1:]))
