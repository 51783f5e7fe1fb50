"""Reports of an evaluation: means, a table for programs, a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from sam2_plugins.core import files
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.evaluation.metrics import Scores
from sam2_plugins.core.evaluation.sequence import SequenceReport

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class MeanReport:
    """Means over sequences of one kind, each counting the same.

    Attributes
    ----------
    prompted_frames, clicks
        Means over all objects.
    reached
        Share of the objects whose J was 0.75 in the end or after some round.
    clicks_to_reach
        Mean clicks that these took; nan if there are none.
    """

    kind: str
    sequences: int
    prompt_iou: float
    scores: Scores
    prompted_frames: float
    clicks: float
    reached: float
    clicks_to_reach: float


def mean_by_kind(reports: Sequence[SequenceReport]) -> list[MeanReport]:
    """Average reports by kind of sequence, in the order in which the kinds first come."""
    means = []
    for kind in dict.fromkeys(report.kind for report in reports):
        same = [report for report in reports if report.kind == kind]
        scores = {
            field.name: float(np.nanmean([getattr(report.scores, field.name) for report in same]))
            for field in fields(Scores)
        }
        objects = [one for report in same for one in report.objects]
        took = [one.clicks_to_reach for one in objects if one.clicks_to_reach is not None]
        means.append(
            MeanReport(
                kind,
                len(same),
                fmean(report.prompt_iou for report in same),
                Scores(**scores),
                _mean([one.prompted_frames for one in objects]),
                _mean([one.clicks for one in objects]),
                len(took) / len(objects) if objects else np.nan,
                _mean(took),
            )
        )
    return means


def write_csv(path: Path, reports: Sequence[SequenceReport]) -> None:
    """Write a row per object."""
    text = io.StringIO()
    columns = ("object", "prompted_frames", "clicks", "clicks_to_reach", "J", "F", "JF")
    rows = csv.writer(text)
    rows.writerow(("sequence", "kind", "protocol", "prompt", *columns))
    for report in reports:
        where = (report.name, report.kind, report.protocol, report.prompt)
        for one in report.objects:
            took = "" if one.clicks_to_reach is None else one.clicks_to_reach
            scores = (f"{value:.4f}" for value in (one.J, one.F, one.JF))
            rows.writerow((*where, one.id, one.prompted_frames, one.clicks, took, *scores))
    files.write_text(path, text.getvalue())


def draw(path: Path, reports: Sequence[SequenceReport]) -> None:
    """Draw J&F against prompted frames: a line per sequence, thick for the mean of all.

    Raises
    ------
    ExportError
        If matplotlib is not installed.
    """
    figure = new_figure(6.4, 4.2)
    axes = figure.add_subplot()
    for report in reports:
        x, y = _curve(report)
        axes.plot(x, y, marker="o", markersize=3, linewidth=1, label=report.name)
    if len(reports) > 1:
        most = max(len(report.rounds) for report in reports)
        curves = [_curve(report) for report in reports]
        held = [[values[min(i, len(values) - 1)] for i in range(most)] for _, values in curves]
        where = [[values[min(i, len(values) - 1)] for i in range(most)] for values, _ in curves]
        x, y = np.mean(where, axis=0), np.nanmean(held, axis=0)
        axes.plot(x, y, marker="o", color="black", linewidth=3, label="mean")
    axes.set(xlabel="prompted frames per object", ylabel="J&F", ylim=(0, 1))
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small", loc="best")
    with files.replacing(path) as fresh:
        figure.savefig(fresh, dpi=130)


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure of a size in inches.

    Raises
    ------
    ExportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ExportError(
            'The plot needs matplotlib: pip install "sam2-plugins[train]".'
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def _curve(report: SequenceReport) -> tuple[list[float], list[float]]:
    return [r.prompted_frames for r in report.rounds], [r.scores.JF for r in report.rounds]


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else np.nan
