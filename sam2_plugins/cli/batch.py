"""`sam2-plugins batch`: many videos, here or on a cluster."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sam2_plugins.cli import options
from sam2_plugins.cli.commands import INTERRUPTED

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from sam2_plugins.batch import Progress, Report

_WHERE = "Where"


def batch(
    manifest: Annotated[
        Path,
        typer.Argument(
            help="CSV or JSON Lines, one video a row: source, prompts, and optionally name, "
            "direction, start, stop, axes, channels, limits, z, stream, fps."
        ),
    ],
    out: options.Out = Path("batch"),
    format_: Annotated[
        str,
        typer.Option("--format", "-f", metavar="A,B,…", help="Of tiff, mp4, png, csv, coco, ctc."),
    ] = "tiff,csv",
    model: options.Model = "nano",
    device: options.Device = "auto",
    image_size: options.ImageSize = None,
    tile: options.Tile = "auto",
    retries: Annotated[int, typer.Option(min=0, help="Tries again of a failed video.")] = 1,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes on this machine.", rich_help_panel=_WHERE)
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Torch threads of a worker.",
            show_default="1 with --workers, else torch's own choice",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Dask scheduler.", rich_help_panel=_WHERE),
    ] = None,
    resource: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=AMOUNT",
            help="What a video takes of a Dask worker's resources, such as GPU=1.",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Track the videos of a list, each from its own prompts.

    Results that are there already are kept, and a video that was cut off goes on where it stopped.
    A video that fails does not stop the others.
    """
    from sam2_plugins.batch import Report, Settings, connect, read_manifest, run_batch
    from sam2_plugins.cli.console import say
    from sam2_plugins.cli.interrupt import stopping_gently
    from sam2_plugins.core.export import parse_formats

    if threads is None and workers > 1:
        threads = 1
    settings = Settings(
        model, device, image_size, options.parse_tile(tile), parse_formats(format_), threads
    )
    needs = _resources(resource or [])
    jobs = read_manifest(manifest)
    reports: dict[str, Report] = {}
    with connect(dask, workers) as client, stopping_gently() as stop, _Board(len(jobs)) as board:
        events = run_batch(
            jobs, settings, out, retries=retries, client=client, resources=needs or None
        )
        for event in events:
            if isinstance(event, Report):
                reports[event.name] = event
            board.show(event)
            if stop.requested:
                events.close()
                break
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

        self._entered = frames_progress("")
        self._videos = videos
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Board:
        self._bars: Bars = self._entered.__enter__()
        self._all = self._bars.add_task("All videos", total=self._videos)
        return self

    def __exit__(self, *about: Any) -> None:
        self._entered.__exit__(*about)

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
            self._bars.console.print(f"{event.name} failed: {event.error}", highlight=False)
        else:
            self._bars.advance(self._all)


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


def _resources(texts: list[str]) -> dict[str, float]:
    needs = {}
    for text in texts:
        name, _, amount = text.partition("=")
        try:
            needs[name] = float(amount)
        except ValueError as error:
            raise typer.BadParameter(f"--resource is NAME=AMOUNT, not '{text}'.") from error
    return needs
