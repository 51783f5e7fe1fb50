"""`sam2-plugins train`: make the embedded checkpoint again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer

from sam2_plugins.cli import options
from sam2_plugins.cli.groups import grouped

if TYPE_CHECKING:
    from torch import Tensor

    from sam2_plugins.core.variants import Variant
    from sam2_plugins.training.batches import Pace


@dataclass(frozen=True)
class StartOptions:
    """What the run begins with."""

    panel: ClassVar[str] = "The run"

    smoke: Annotated[bool, typer.Option("--smoke", help="A dozen steps, to see that it runs.")] = (
        False
    )
    start: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Go on from these weights, nano or a file, instead of new ones."
        ),
    ] = None
    memory: Annotated[
        bool,
        typer.Option("--memory", help="With --start: train the memory alone, by longer clips."),
    ] = False
    seed: Annotated[int, typer.Option(help="Seed of the weights, clips and batches.")] = 0
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped, options as before.")
    ] = False
    photos: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder of photographs, as surfaces of natural clips; default: those that "
            "installed packages ship.",
        ),
    ] = None


@dataclass(frozen=True)
class PaceOptions:
    """Where, how long and how much at once; see `training.Pace`."""

    panel: ClassVar[str] = "Pace"

    device: options.Device = "auto"
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that make batches; default: 1, with cuda all cores."),
    ] = None
    minutes: Annotated[
        float | None,
        typer.Option(min=0.1, help="Train for this long, instead of the recipe's number of steps."),
    ] = None
    batch_scale: Annotated[
        int, typer.Option(min=1, help="Size of a batch, as a multiple of the recipe's.")
    ] = 1

    def pace(self) -> Pace:
        """Choose what was not given: only a graphics card is worth more than one worker."""
        from sam2_plugins.core.checkpoints import choose_device
        from sam2_plugins.training.batches import Pace, usual_workers

        device = choose_device(self.device)
        workers = usual_workers(device, 1) if self.workers is None else self.workers
        kind = "cuda" if device.type == "cuda" else "cpu"
        return Pace(kind, workers, self.minutes, self.batch_scale)


@grouped
def train(
    name: Annotated[Literal["nano"], typer.Argument(help="What to train.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")],
    begin: StartOptions,
    pace: PaceOptions,
) -> None:
    """Train the embedded model on synthetic time-lapses.

    The state is saved every hundred steps, or each minute with --minutes, and a log as table and
    picture. The weights are saved at the end as NAME.safetensors, which --model takes.
    """
    from rich.progress import TaskProgressColumn, TextColumn

    from sam2_plugins.cli.console import bars, say, times
    from sam2_plugins.core.checkpoints import save_model
    from sam2_plugins.core.errors import ExportError, TrainingError
    from sam2_plugins.core.variants import get_variant
    from sam2_plugins.training import recipe as recipes
    from sam2_plugins.training import train as training
    from sam2_plugins.training.batches import CLIPS, LONG_CLIPS, ClipShape, Material
    from sam2_plugins.training.synthetic import Photos

    _check_folder(out, begin.resume)
    variant = get_variant(name)
    recipe, clips = recipes.NANO if begin.start is None else recipes.SEQUEL, CLIPS
    if begin.memory:
        if begin.start is None:
            raise TrainingError("--memory goes on from weights: give them with --start.")
        recipe, clips = recipes.STEADY, LONG_CLIPS
    weights = _weights_of(begin.start, variant) if begin.start else None
    photos = Photos.in_folder(begin.photos) if begin.photos else Photos.installed()
    material = Material(clips, photos=photos)
    if begin.smoke:
        recipe = recipes.SMOKE
        material = Material([ClipShape(96, 4)], capacity=8, held_out=0)
    steps, scores = TextColumn("{task.fields[step]} steps"), TextColumn("{task.fields[scores]}")
    with bars(TaskProgressColumn(), steps, *times(), scores) as progress:
        task = progress.add_task("Training", total=1.0, scores="", step=0)

        def on_log(row: dict[str, float], done: float) -> None:
            scores = f"loss {row['loss']:.2f} click IoU {row['click_iou']:.2f}"
            scores += f" next {row['next_iou']:.2f} last {row['last_iou']:.2f}"
            progress.update(task, completed=done, scores=scores, step=int(row["step"]))
            if not math.isnan(row["held_next"]):
                progress.console.print(
                    f"{int(row['step'])} steps: held-out IoU {row['held_next']:.3f} one frame "
                    f"after a mask, {row['held_last']:.3f} on the last frame; "
                    f"{row['seconds']:.2f} s a step, {row['waited']:.2f} s of them for batches"
                )

        try:
            model = training.train(
                variant,
                recipe,
                out,
                start=weights,
                seed=begin.seed,
                pace=pace.pace(),
                material=material,
                on_log=on_log,
            )
        except (KeyboardInterrupt, ExportError):
            if (out / training.STATE_FILE).exists():
                say(f"The last saved step is in {out}: --resume goes on from there.")
            raise
    path = save_model(model, out / f"{variant.name}.safetensors")
    log = out / training.LOG_FILE
    typer.echo(f"{path} (log: {log})")
    from sam2_plugins.training.plot import draw_log  # and with it much that training does without

    try:
        draw_log(log, log.with_suffix(".png"))
    except ExportError as error:
        say(str(error))


def _check_folder(out: Path, resume: bool) -> None:
    """Two runs in one folder would go on as one, and nothing else is to be replaced."""
    from sam2_plugins.core.errors import TrainingError
    from sam2_plugins.core.files import require_empty
    from sam2_plugins.training.train import STATE_FILE

    if (out / STATE_FILE).exists() and not resume:
        raise TrainingError(
            f"{out} holds a run: --resume goes on with it; another --out starts anew."
        )
    if resume and not (out / STATE_FILE).exists():
        raise TrainingError(f"{out} holds no run to resume: there is no {STATE_FILE} in it.")
    if not resume:
        require_empty(out)


def _weights_of(name: str, variant: Variant) -> dict[str, Tensor]:
    """Load the weights to begin with."""
    from sam2_plugins.core.checkpoints import load_model
    from sam2_plugins.core.errors import ModelError

    model = load_model(name, "cpu")
    if model.variant.trunk != variant.trunk or model.variant.width != variant.width:
        raise ModelError(
            f"{name} is a {model.variant.name}, from which {variant.name} cannot go on: give "
            f"{variant.name}, or a file that its training wrote."
        )
    return model.state_dict()
