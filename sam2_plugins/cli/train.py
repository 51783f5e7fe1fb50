"""`sam2-plugins train`: make the embedded checkpoint again."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from sam2_plugins.core.variants import Variant


class Trainable(str, Enum):
    """What there is a recipe for."""

    nano = "nano"


def train(
    name: Annotated[Trainable, typer.Argument(help="What to train.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A dozen steps, to see that it runs.")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Go on from these weights, nano or a file, instead of new ones."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of weights, clips and batches.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped, options as before.")
    ] = False,
) -> None:
    """Train the embedded model on synthetic time-lapses.

    The state is saved every hundred steps, and a log as table and picture. The weights are saved
    at the end as NAME.safetensors, which --model takes.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from sam2_plugins.cli.console import ERR, say
    from sam2_plugins.core.checkpoints import save_model
    from sam2_plugins.core.errors import ExportError
    from sam2_plugins.core.variants import get_variant
    from sam2_plugins.training import recipe as recipes
    from sam2_plugins.training import train as training
    from sam2_plugins.training.plot import draw_log
    from sam2_plugins.training.pool import ClipShape

    _check_folder(out, resume)
    variant = get_variant(name.value)
    recipe = recipes.SMOKE if smoke else recipes.NANO if start is None else recipes.SEQUEL
    weights = _weights_of(start, variant) if start else None
    size: dict[str, Any] = {"pool_size": 8, "clips": [ClipShape(96, 4)]} if smoke else {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps"),
        TimeElapsedColumn(),
        TextColumn("·"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[scores]}"),
    )
    with Progress(*columns, console=ERR) as progress:
        task = progress.add_task("Training", total=recipe.steps, scores="")

        def on_log(row: dict[str, float]) -> None:
            scores = f"loss {row['loss']:.2f} click IoU {row['click_iou']:.2f}"
            progress.update(task, completed=int(row["step"]), scores=scores)

        try:
            model = training.train(
                variant, recipe, out, start=weights, seed=seed, on_log=on_log, **size
            )
        except KeyboardInterrupt:
            say(f"The last saved step is in {out}: --resume goes on from there.")
            raise
    path = save_model(model, out / f"{variant.name}.safetensors")
    log = out / training.LOG_FILE
    typer.echo(f"{path} (log: {log})")
    try:
        draw_log(log, log.with_suffix(".png"))
    except ExportError as error:
        say(str(error))


def _check_folder(out: Path, resume: bool) -> None:
    """Two runs in one folder would go on as one."""
    from sam2_plugins.core.errors import TrainingError
    from sam2_plugins.training.train import STATE_FILE

    if (out / STATE_FILE).exists() and not resume:
        raise TrainingError(
            f"{out} holds a run: --resume goes on with it; another --out starts anew."
        )
    if resume and not (out / STATE_FILE).exists():
        raise TrainingError(f"{out} holds no run to resume: there is no {STATE_FILE} in it.")


def _weights_of(name: str, variant: Variant) -> dict[str, Tensor]:
    """Load the weights to begin with."""
    from sam2_plugins.core.checkpoints import load_model
    from sam2_plugins.core.errors import CheckpointError

    model = load_model(name, "cpu")
    if model.variant.trunk != variant.trunk or model.variant.width != variant.width:
        raise CheckpointError(
            f"{name} is a {model.variant.name}, from which {variant.name} cannot go on: give "
            f"{variant.name}, or a file that its training wrote."
        )
    return model.state_dict()
