"""Plot the log of a training run: `python docs/plot_training.py LOG.csv PICTURE.png`."""

from __future__ import annotations

import csv
import sys

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

WINDOW = 10  # rows; each is the mean of 20 steps


def smooth(values: np.ndarray) -> np.ndarray:
    """Running mean over the rows that know a value."""
    known = np.isfinite(values)
    ones = np.ones(WINDOW)
    total = np.convolve(np.where(known, values, 0), ones, "same")
    count = np.convolve(known, ones, "same")
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def main(log: str, picture: str) -> None:
    """Draw loss and IoU against steps."""
    with open(log, newline="") as file:
        rows = list(csv.DictReader(file))
    column = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    left.plot(column["step"], column["loss"], color="0.8", linewidth=0.8)
    left.plot(column["step"], smooth(column["loss"]), color="C0")
    left.set(title="Loss", xlabel="step")
    for name, title in (("click_iou", "after a click"), ("last_iou", "tracked, last frame")):
        right.plot(column["step"], smooth(column[name]), label=title)
    right.set(title="IoU on synthetic batches", xlabel="step", ylim=(0, 1))
    right.legend(loc="lower right")
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    main(*sys.argv[1:])
