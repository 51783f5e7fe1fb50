"""`sam2-plugins finetune`: make a model one's own."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from sam2_plugins.cli import options
from sam2_plugins.cli.commands import FAILED
from sam2_plugins.cli.groups import grouped
from sam2_plugins.training.parts import Parts

if TYPE_CHECKING:
    from sam2_plugins.training.finetuning import AnnotatedMovie, Look, Report
    from sam2_plugins.training.finetuning.score import Scores


@dataclass(frozen=True)
class DataOptions:
    """What is learned from, and what judges."""

    panel: ClassVar[str] = "Annotations"

    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            "-d",
            help="Annotations: a Cell Tracking Challenge folder, frames/ with masks/, label TIFF, "
            "COCO, a Label Studio export. May be given several times.",
        ),
    ]
    movie: Annotated[
        list[Path] | None,
        typer.Option(help="The movie of each --data that holds labels alone, in the same order."),
    ] = None
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            help="Movie to test on; may be given several times.", show_default="every fifth"
        ),
    ] = None
    first_frames: Annotated[
        int | None,
        typer.Option(min=1, help="Train on this many frames of each movie, and test on the rest."),
    ] = None


@dataclass(frozen=True)
class LearningOptions:
    """How it is learned: fields of `finetuning.Settings`."""

    panel: ClassVar[str] = "Learning"

    parts: Annotated[
        Parts, typer.Option(help="Parts of the network to train; more parts need more annotations.")
    ] = Parts.memory
    steps: Annotated[int, typer.Option(min=1, help="Number of steps at most.")] = 400
    rate: Annotated[float, typer.Option(min=0, help="Learning rate.")] = 1e-4
    patience: Annotated[
        int, typer.Option(min=1, help="Checks without a gain after which training stops.")
    ] = 5
    clips: Annotated[int, typer.Option(min=1, help="Clips in a batch.")] = 2
    frames: Annotated[int, typer.Option(min=1, help="Frames in a clip.")] = 4
    objects: Annotated[int, typer.Option(min=1, help="Objects followed in a clip.")] = 3
    check_every: Annotated[int, typer.Option(min=1, help="Steps between checks.")] = 25
    seed: Annotated[int, typer.Option(help="Seed of the samples and prompts.")] = 0


@grouped
def finetune(
    sources: DataOptions,
    learning: LearningOptions,
    chosen: options.ModelOptions,
    arrays: options.ArrayOptions,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File of the new model: .safetensors or .pt.")
    ],
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Processes that make batches; default: 0, with cuda all cores."),
    ] = None,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Fine-tune a model on your own corrected masks, and keep it only if it became better.

    Movies are split: some to train on (their last quarter decides when to stop), some to test on; a
    single movie is split in time. J on the held-out part is shown before and after. A run that
    was stopped or killed goes on when the same command is given again.
    """
    from sam2_plugins.cli.console import frames_progress, print_json, say
    from sam2_plugins.cli.loading import open_model
    from sam2_plugins.core.checkpoints import check_model_name
    from sam2_plugins.core.errors import ExportError, ModelError
    from sam2_plugins.training import finetuning
    from sam2_plugins.training.batches import usual_workers

    check_model_name(chosen.model)
    reading = arrays.arguments()
    found = _read(sources.data, sources.movie or [])
    split = finetuning.split_movies(
        [replace(one, reading=reading) for one in found],
        held_out=sources.held_out or (),
        first_frames=sources.first_frames,
    )
    for what, part in (
        ("Learns from", split.train),
        ("Stops by", split.stop),
        ("Judged by", split.held_out),
    ):
        say(f"{what}: " + ", ".join(f"{m.name} ({len(m.masks)} frames)" for m in part))
    settings = finetuning.Settings(**asdict(learning))
    network = open_model(chosen.model, chosen.device, chosen.image_size)
    with frames_progress("steps") as progress:
        task = progress.add_task("Fine-tuning", total=settings.steps)

        def looked(look: Look) -> None:
            progress.console.print(f"Step {look.step}: J {_shown(look.scores)}")

        try:
            report = finetuning.finetune(
                network,
                split,
                out,
                settings,
                workers=usual_workers(network.device, 0) if workers is None else workers,
                overwrite=overwrite,
                on_budget=lambda budget: say(f"Memory: {budget}"),
                on_step=lambda done, _: progress.update(task, completed=done),
                on_look=looked,
            )
        except (KeyboardInterrupt, ExportError, ModelError):
            folder = out.with_suffix(".run")
            if (folder / finetuning.STATE_FILE).exists():
                say(f"The last look is in {folder}: the same command goes on there.")
            raise
    if json:
        print_json(report)
    else:
        _show(report)
    if not report.better:
        say(
            "The model did not become better on the held-out part, so none is written. More "
            "annotations, a lower --rate or fewer --parts may help."
        )
        raise typer.Exit(FAILED)
    say(f"Use it: sam2-plugins track MOVIE --model {report.path}")


def _read(data: list[Path], movies: list[Path]) -> list[AnnotatedMovie]:
    """Read every project; those that hold no movie take the next one that was given."""
    from sam2_plugins.cli.data import open_datasets
    from sam2_plugins.core.errors import TrainingError
    from sam2_plugins.training.finetuning import AnnotatedMovie

    if movies and len(movies) != len(data):
        raise TrainingError(
            f"There are {len(data)} --data and {len(movies)} --movie: give one for each, in the "
            "same order."
        )
    found = (open_datasets(path, movie) for path, movie in zip_longest(data, movies))
    return [AnnotatedMovie.from_dataset(dataset) for group in found for dataset in group]


def _show(report: Report) -> None:
    from sam2_plugins.cli.console import OUT, table

    made = table(["J on the held-out part"], ["before", "after"])
    for kind, before in report.before.items():
        made.add_row(f"from a {kind}", f"{before:.3f}", f"{report.after[kind]:.3f}")
    OUT.print(made)
    if report.path:
        typer.echo(f"{report.path} (step {report.best_step})")


def _shown(scores: Scores) -> str:
    return " ".join(f"{kind} {value:.2f}" for kind, value in scores.items())
