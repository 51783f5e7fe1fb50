"""`sam2-plugins evaluate` and `evaluate-model`: scores against ground truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sam2_plugins.cli import options
from sam2_plugins.cli.commands import INTERRUPTED

if TYPE_CHECKING:
    from sam2_plugins.core.evaluation import MeanReport, SequenceReport

MEASURES = {
    "J": "J",
    "F": "F",
    "JF": "J&F",
    "SEG": "SEG",
    "J_last": "J\nlast",
    "kept_end": "kept\nend",
    "kept_all": "kept\nall",
    "track_frac": "track\nfrac",
    "id_switch": "id\nswitch",
}
"""Measure to the head of its column, narrow enough for all to fit a terminal of 80 characters."""


class Absent(str, Enum):
    """What a frame without the object counts."""

    davis = "davis"
    ignore = "ignore"


class PromptKind(str, Enum):
    """What every object is prompted with."""

    mask = "mask"
    click = "click"
    box = "box"


def evaluate(
    pred: Annotated[
        Path, typer.Argument(help="Predicted labels: .npy, TIFF, or a folder of PNG or TIFF.")
    ],
    gt: Annotated[
        Path,
        typer.Argument(help="True labels of the same form, or a dataset (frames, masks, meta)."),
    ],
    objects: Annotated[
        str | None,
        typer.Option(
            metavar="ID,ID,…",
            help="Objects to score.",
            show_default="the dataset's, or all on the prompted frame",
        ),
    ] = None,
    prompt_frame: Annotated[
        int | None, typer.Option(help="Frame of the prompts; later ones count.")
    ] = None,
    bound: Annotated[
        float | None,
        typer.Option(
            help="Tolerance of F in pixels.", show_default="2 for cells, else 0.008 × diagonal"
        ),
    ] = None,
    absent: Annotated[
        Absent | None,
        typer.Option(help="davis: predicting nothing where there is nothing counts 1."),
    ] = None,
    per_object: Annotated[bool, typer.Option("--per-object", help="Each object too.")] = False,
    json: options.Json = False,
) -> None:
    """Score predicted labels: J and F of DAVIS, SEG of the Cell Tracking Challenge, tracks."""
    from sam2_plugins.cli.console import print_json
    from sam2_plugins.core import metrics
    from sam2_plugins.core.datasets import load_dataset, load_label_stack
    from sam2_plugins.core.errors import FrameSourceError

    settings: dict[str, Any] = {}
    if (gt / "meta.json").is_file():
        dataset = load_dataset(gt)
        settings, truth = dict(dataset.settings), dataset.labels
    else:
        truth = load_label_stack(gt)
    given = {
        "objects": _ids(objects),
        "prompt_frame": prompt_frame,
        "bound": bound,
        "absent": absent and absent.value,
    }
    settings |= {name: value for name, value in given.items() if value is not None}
    try:
        scores = metrics.evaluate(load_label_stack(pred), truth, **settings)
    except ValueError as error:
        raise FrameSourceError(f"{pred} and {gt} cannot be compared: {error}") from error
    if json:
        print_json(scores.to_dict(per_object))
        return
    rows = [(f"mean of {scores.n_objects}", asdict(scores), "")]
    if per_object:
        each = [(str(one.id), asdict(one), str(one.frames)) for one in scores.objects]
        rows = [*each, *rows]
    _print_scores("object", "frames", rows)


def evaluate_model(
    model: Annotated[str, typer.Argument(help="nano, sam2.1-tiny …, or a file of weights.")],
    data: Annotated[
        Path, typer.Option(help="A dataset, or a folder of datasets (frames, masks, meta.json).")
    ],
    prompt: Annotated[
        PromptKind, typer.Option(help="Made from the true mask of the prompted frame.")
    ] = PromptKind.mask,
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Score only this dataset.")
    ] = None,
    device: options.Device = "auto",
    image_size: options.ImageSize = None,
    tile: options.Tile = "auto",
    json: options.Json = False,
) -> None:
    """Score a model: one prompt per object on the first frame, then tracking to the end.

    A click is the pixel deepest in the object; a box is tight.
    """
    from sam2_plugins.cli.console import frames_progress, print_json, say
    from sam2_plugins.cli.interrupt import stopping_gently
    from sam2_plugins.cli.loading import open_model
    from sam2_plugins.core.datasets import find_datasets
    from sam2_plugins.core.evaluation import evaluate_sequence, mean_by_kind

    side = options.parse_tile(tile)
    datasets = find_datasets(data)
    names = [dataset.name for dataset in datasets]
    for name in only or []:
        if name not in names:
            raise typer.BadParameter(f"there is no dataset '{name}' among {', '.join(names)}.")
    datasets = [dataset for dataset in datasets if not only or dataset.name in only]
    network = open_model(model, device, image_size)
    reports: list[SequenceReport] = []
    with stopping_gently() as stop, frames_progress() as progress:

        def on_frame(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)
            if stop.requested:
                raise KeyboardInterrupt

        for dataset in datasets:
            task = progress.add_task(dataset.name, total=None)
            try:
                report = evaluate_sequence(
                    network, dataset, prompt.value, tile=side, on_frame=on_frame
                )
            except KeyboardInterrupt:
                break
            reports.append(report)
    means = mean_by_kind(reports)
    if json:
        shown = {"model": network.variant.name, "prompt": prompt.value}
        print_json({**shown, "sequences": _flat(reports), "means": _flat(means)})
    else:
        _print_reports(reports, means)
    if stop.requested:
        say(f"Stopped: {len(reports)} of {len(datasets)} datasets were scored.")
        raise typer.Exit(INTERRUPTED)


def _flat(reports: list[Any]) -> list[dict[str, Any]]:
    """Reports as plain values, with the scores beside the rest."""
    flat = []
    for report in reports:
        values = asdict(report)
        scores = values.pop("scores")
        flat.append({**values, **scores})
    return flat


def _print_reports(reports: list[SequenceReport], means: list[MeanReport]) -> None:
    rows = [
        (one.name, {"prompt": one.prompt_iou, **asdict(one.scores)}, f"{one.seconds:.2f}")
        for one in reports
    ]
    rows += [
        (f"mean {one.kind}", {"prompt": one.prompt_iou, **asdict(one.scores)}, "") for one in means
    ]
    shown = {"prompt": "prompt\nIoU", **MEASURES}
    del shown["J_last"], shown["id_switch"]
    _print_scores("dataset", "s per\nframe", rows, shown)


def _print_scores(
    what: str,
    remark: str,
    rows: list[tuple[str, dict[str, Any], str]],
    measures: Mapping[str, str] = MEASURES,
) -> None:
    from sam2_plugins.cli.console import OUT, table

    shown = table([what], [*measures.values(), remark])
    for name, values, note in rows:
        shown.add_row(name, *(f"{values[measure]:.3f}" for measure in measures), note)
    OUT.print(shown)


def _ids(text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"--objects are whole numbers, not '{text}'.") from error
