"""`sam2-plugins train`: make the embedded checkpoint again."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Trainable(str, Enum):
    """What there is a recipe for."""

    nano = "nano"


def train(
    name: Annotated[Trainable, typer.Argument(help="What to train.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    smoke: Annotated[
        bool, typer.Option("--smoke", help="A dozen steps, to see that it runs.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of weights, clips and batches.")] = 0,
) -> None:
    """Train the embedded model from scratch on synthetic time-lapses.

    A run that was stopped goes on from its last saved step. The weights are saved at the end as
    NAME.safetensors, which --model takes.
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
    from sam2_plugins.core.variants import get_variant
    from sam2_plugins.training import recipe as recipes
    from sam2_plugins.training import train as training

    variant = get_variant(name.value)
    recipe = recipes.SMOKE if smoke else recipes.NANO
    size = {"pool_size": 8, "clip_size": 96, "clip_frames": 4} if smoke else {}
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
            model = training.train(variant, recipe, out, seed=seed, on_log=on_log, **size)
        except KeyboardInterrupt:
            say(f"The last saved step is in {out}: the same command goes on from there.")
            raise
    path = save_model(model, out / f"{variant.name}.safetensors")
    typer.echo(f"{path} (log: {out / training.LOG_FILE})")
