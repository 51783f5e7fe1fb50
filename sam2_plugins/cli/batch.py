"""`sam2-plugins batch`: many videos, here or on a cluster."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from sam2_plugins.cli import options
from sam2_plugins.cli.commands import INTERRUPTED
from sam2_plugins.cli.groups import grouped

if TYPE_CHECKING:
    from rich.progress import TaskID

    from sam2_plugins.batch import Progress, Report


@dataclass(frozen=True)
class WhereOptions:
    """Which processes do the work."""

    panel: ClassVar[str] = "Where"

    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Torch threads of a worker.",
            show_default="1 with --workers, else torch's own choice",
        ),
    ] = None
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler.")] = None
    resource: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=AMOUNT",
            help="What a video takes of a Dask worker's resources, such as GPU=1.",
        ),
    ] = None

    @property
    def needs(self) -> dict[str, float] | None:
        """The values of --resource."""
        needs = {}
        for text in self.resource or []:
            name, _, amount = text.partition("=")
            try:
                needs[name] = float(amount)
            except ValueError as error:
                raise typer.BadParameter(f"--resource is NAME=AMOUNT, not '{text}'.") from error
        return needs or None


@grouped
def batch(
    manifest: Annotated[
        Path,
        typer.Argument(
            help="CSV or JSON Lines, one video a row: source, prompts, and optionally name, "
            "direction, start, stop, axes, channels, limits, z, stream, fps, channels_by."
        ),
    ],
    model: options.ModelOptions,
    looking: options.LookingOptions,
    where: WhereOptions,
    out: options.Out = Path("batch"),
    format_: options.Formats = "tiff,csv",
    retries: Annotated[
        int, typer.Option(min=0, help="How often a failed video is tried again.")
    ] = 1,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """Track the videos of a list, each from its own prompts.

    Results that are there already are kept, and a video that was cut off goes on where it stopped.
    A video that fails does not stop the others.
    """
    from sam2_plugins.batch import Report, Settings, connect, read_manifest, run_batch
    from sam2_plugins.cli.console import say
    from sam2_plugins.cli.interrupt import stopping_gently
    from sam2_plugins.cli.loading import chosen_model
    from sam2_plugins.core.checkpoints import check_model_name

    if where.dask is None:  # of several machines each chooses for itself
        check_model_name(model.model)
        model = replace(model, model=chosen_model(model.model, model.device))
    settings = Settings(
        **vars(options.tracking_options(model, looking)),
        formats=options.file_formats(format_),
        threads=1 if where.threads is None and where.workers > 1 else where.threads,
    )
    needs = where.needs
    jobs = read_manifest(manifest)
    if force:
        jobs = [replace(job, made_on=()) for job in jobs]
    reports: dict[str, Report] = {}
    with (
        stopping_gently() as stop,
        connect(where.dask, where.workers) as client,
        _Board(len(jobs)) as board,
    ):
        events = run_batch(jobs, settings, out, retries=retries, client=client, resources=needs)
        with closing(events):
            while not stop.requested and (event := next(events, None)) is not None:
                if isinstance(event, Report):
                    reports[event.name] = event
                board.show(event)
    _summarise(list(reports.values()), len(jobs), out, json)
    if stop.requested:
        say("Stopped. The same command goes on from here.")
        raise typer.Exit(INTERRUPTED)
    if any(report.state == "failed" for report in reports.values()):
        raise typer.Exit(1)


class _Board:
    """A bar for the batch and one for every video that is being tracked."""

    def __init__(self, videos: int) -> None:
        from sam2_plugins.cli.console import frames_progress

        self._bars = frames_progress("")
        self._videos = videos
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Board:
        self._bars.start()
        self._all = self._bars.add_task("All videos", total=self._videos)
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, event: Progress | Report) -> None:
        """Show what came; a report of a failure stays on the screen."""
        from sam2_plugins.batch import Progress

        if isinstance(event, Progress):
            if event.name not in self._tasks:
                self._tasks[event.name] = self._bars.add_task(event.name, total=event.total)
            self._bars.update(self._tasks[event.name], completed=event.done, total=event.total)
            return
        if event.name in self._tasks:
            self._bars.remove_task(self._tasks.pop(event.name))
        if event.state == "failed":
            self._bars.console.print(f"{event.name} failed: {event.error}", soft_wrap=True)
        else:
            self._bars.advance(self._all)
        for note in event.notes:
            self._bars.console.print(f"{event.name}: {note}", soft_wrap=True)


def _summarise(reports: list[Report], videos: int, out: Path, json: bool) -> None:
    from sam2_plugins.cli.console import OUT, print_json, say, table

    count = Counter(report.state for report in reports)
    if json:
        print_json({"videos": videos, "out": out, "reports": [asdict(one) for one in reports]})
        return
    shown = table(["video", "state"], ["objects", "frames", "computed", "seconds"])
    for one in sorted(reports, key=lambda report: report.name):
        numbers = (len(one.objects), one.frames, one.computed, f"{one.seconds:.1f}")
        shown.add_row(one.name, one.state, *map(str, numbers))
    OUT.print(shown)
    say(f"{count['done']} of {videos} videos are done, {count['failed']} failed. Results: {out}")
