"""`sam2-plugins track`: prompts in, files out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from sam2_plugins.cli import options
from sam2_plugins.cli.commands import INTERRUPTED
from sam2_plugins.cli.groups import grouped
from sam2_plugins.core.errors import ExportError, PromptError

if TYPE_CHECKING:
    from sam2_plugins.batch import Job, Report
    from sam2_plugins.core.lineage import AllObjects


@dataclass(frozen=True)
class PromptOptions:
    """What to track."""

    panel: ClassVar[str] = "What to track"

    click: Annotated[
        list[str] | None,
        typer.Option(metavar="X,Y[,FRAME][,OBJECT]", help="A click on an object."),
    ] = None
    not_: Annotated[
        list[str] | None,
        typer.Option(
            "--not", metavar="X,Y,FRAME,OBJECT", help="A click that is not on the object."
        ),
    ] = None
    box: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X0,Y0,X1,Y1[,FRAME][,OBJECT]", help="A box around an object, ends exclusive."
        ),
    ] = None
    mask: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE[,FRAME]", help="A label image: every label is an object."),
    ] = None
    prompts: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Prompts that were saved as JSON."),
    ] = None
    force: options.Force = False


@dataclass(frozen=True)
class AllOptions:
    """Every object, without a prompt."""

    panel: ClassVar[str] = "Every object"

    all: Annotated[
        bool,
        typer.Option(
            "--all",
            help="Track all objects, with newcomers, divisions and ends. Prompted ones are examples"
            " of their size.",
        ),
    ] = False
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="Label images, one per frame, whose labels are the objects."
        ),
    ] = None
    every: Annotated[
        int, typer.Option(min=1, help="Look for objects on every n-th frame only.")
    ] = 1

    def chosen(self) -> AllObjects | None:
        """Return how all objects are found; None if only prompted ones are tracked."""
        from sam2_plugins.core.lineage import AllObjects

        if not self.all:
            if self.labels is not None or self.every != 1:
                raise typer.BadParameter("--labels and --every belong to --all.")
            return None
        return AllObjects(self.every, str(self.labels) if self.labels else None)


@grouped
def track(
    source: Annotated[
        str,
        typer.Argument(help="Video, TIFF stack, folder of images, .npy, .zarr, URL, or - (stdin)."),
    ],
    what: PromptOptions,
    every: AllOptions,
    span: options.RangeOptions,
    model: options.ModelOptions,
    looking: options.LookingOptions,
    reading: options.ReadingOptions,
    out: options.Out = Path("tracked"),
    format_: options.Formats = "tiff,mp4,prompts",
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Track objects through a movie, from a click, a box or a mask each.

    Frames count from 0, coordinates are pixels (x, y) of the frame. Prompts of one object name it:
    --click 120,80,0,cell --not 90,40,0,cell --box 100,60,140,100,30,cell. Ctrl-C keeps what is
    done, and the same command goes on there.
    """
    formats = options.file_formats(format_)
    job = _job(source, what, every, span, reading)
    from sam2_plugins.batch import Settings
    from sam2_plugins.batch.folder import ResultFolder
    from sam2_plugins.batch.tracking import track_into
    from sam2_plugins.cli.console import say
    from sam2_plugins.cli.loading import chosen_model, open_model
    from sam2_plugins.cli.tracking import follow

    model = replace(model, model=chosen_model(model.model, model.device))
    settings = Settings(**vars(options.tracking_options(model, looking)), formats=formats)
    folder = ResultFolder(out)
    events = track_into(
        folder,
        job,
        settings,
        lambda how: open_model(how.model, how.device, how.image_size),
        replaces=overwrite,
        force=overwrite,
    )
    try:
        report = follow(events)
    except Exception:
        if (left := folder.record()) is not None and left.state == "failed":
            say(f"What was tracked until then is in {out}; the same command goes on there.")
        raise
    _show(report or folder.record(), job, out, report is None, json)


def _job(
    source: str,
    what: PromptOptions,
    every: AllOptions,
    span: options.RangeOptions,
    reading: options.ReadingOptions,
) -> Job:
    from sam2_plugins.batch import Job
    from sam2_plugins.cli.prompts import collect_prompts
    from sam2_plugins.core.prompt_files import load_prompts

    how = reading.arguments()
    prompts = collect_prompts(
        what.click or [], what.not_ or [], what.box or [], what.mask or [], what.prompts or []
    )
    files = [load_prompts(path) for path in what.prompts or []]
    everything = every.chosen()
    if not prompts and everything is None:
        if files:
            empty = ", ".join(map(str, what.prompts or []))
            raise PromptError(f"{empty} has no prompts: save them again, or give --all.")
        raise typer.BadParameter(
            "give --all, or at least one of --click, --box, --mask and --prompts."
        )
    return Job(
        source,
        source,
        tuple(prompts),
        span.direction,
        span.start,
        span.stop,
        how,
        {obj: life for file in files for obj, life in file.lives.items()},
        {daughter: mother for file in files for daughter, mother in file.mothers.items()},
        {obj: name for file in files for obj, name in file.names.items()},
        () if what.force else tuple(file.source for file in files),
        everything,
    )


def _show(report: Report | None, job: Job, out: Path, interrupted: bool, json: bool) -> None:
    """Show what came out; exit with 130 if it was stopped, 1 if a file cannot be written."""
    from sam2_plugins.cli.console import print_json, say
    from sam2_plugins.cli.tracking import described, show
    from sam2_plugins.core.lineage.events import Event, summary_of

    spans = report.spans if report else ()
    frames = [frame for first, last in spans for frame in range(first, last + 1)]
    objects = described(report, job.prompts, job.names) if report else []
    files = [out / name for name in report.files] if report else []
    if json:
        print_json(
            {
                "model": report.model if report else None,
                "source": job.source,
                "frames": frames,
                "computed": report.computed if report else 0,
                "interrupted": interrupted,
                "objects": objects,
                "lineage": list(report.lineage) if report else [],
                "files": files,
            }
        )
    else:
        show(objects)
        if report and report.lineage:
            say(summary_of(Event.of(values) for values in report.lineage))
        for path in files:
            say(f"  {path}")
    for note in report.notes if report else ():
        say(f"Note: {note}")
    if interrupted:
        say(f"Stopped: {_span(frames)} kept in {out}; the same command goes on there.")
        raise typer.Exit(INTERRUPTED)
    if report and report.error:
        raise ExportError(report.error)


def _span(frames: Sequence[int]) -> str:
    if not frames:
        return "no frame was tracked; nothing is"
    if len(frames) == 1:
        return f"frame {frames[0]} is"
    return f"{len(frames)} frames, from {frames[0]} to {frames[-1]}, are"
