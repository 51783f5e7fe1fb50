"""`sam2-plugins track`: prompts in, files out."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2_plugins.cli import options
from sam2_plugins.cli.commands import INTERRUPTED
from sam2_plugins.core.errors import ExportError, Sam2PluginsError

if TYPE_CHECKING:
    from sam2_plugins.cli.tracking import Outcome
    from sam2_plugins.core.tracking.tracker import VideoTracker

PROMPTS = "prompts"
PROMPTS_FILE = "prompts.json"
_SAY = "What to track"


class Direction(str, Enum):
    """Which way in time."""

    forward = "forward"
    backward = "backward"
    both = "both"


def track(
    source: Annotated[
        str,
        typer.Argument(help="Video, TIFF stack, folder of images, .npy, .zarr, URL, or - (stdin)."),
    ],
    click: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X,Y[,FRAME][,OBJECT]", help="A click on an object.", rich_help_panel=_SAY
        ),
    ] = None,
    not_: Annotated[
        list[str] | None,
        typer.Option(
            "--not",
            metavar="X,Y,FRAME,OBJECT",
            help="A click that is not on the object.",
            rich_help_panel=_SAY,
        ),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X0,Y0,X1,Y1[,FRAME][,OBJECT]",
            help="A box around an object, ends exclusive.",
            rich_help_panel=_SAY,
        ),
    ] = None,
    mask: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[,FRAME]",
            help="A label image: every label is an object.",
            rich_help_panel=_SAY,
        ),
    ] = None,
    prompts: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Prompts that were saved as JSON.", rich_help_panel=_SAY),
    ] = None,
    direction: Annotated[
        Direction, typer.Option(help="both: outward from every prompt.")
    ] = Direction.forward,
    start: Annotated[int | None, typer.Option(help="First frame, from 0.")] = None,
    stop: Annotated[int | None, typer.Option(help="Last frame, included.")] = None,
    out: options.Out = Path("tracked"),
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            metavar="A,B,…",
            help="Of tiff (labels), mp4 (overlay), png (contact sheet), csv, coco, ctc, prompts.",
        ),
    ] = "tiff,mp4,prompts",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace earlier results in the folder.")
    ] = False,
    model: options.Model = "nano",
    device: options.Device = "auto",
    image_size: options.ImageSize = None,
    tile: options.Tile = "auto",
    memory: options.Memory = "sam2",
    axes: options.Axes = None,
    channels: options.Channels = None,
    limits: options.Limits = None,
    z: options.Plane = None,
    stream: options.Stream = None,
    fps: options.Fps = None,
    json: options.Json = False,
) -> None:
    """Track objects through a movie, from a click, a box or a mask each.

    Frames count from 0, coordinates are pixels (x, y) of the frame. Prompts of one object name it:
    --click 120,80,0,cell --not 90,40,0,cell --box 100,60,140,100,30,cell. Ctrl-C keeps what is
    done.
    """
    from sam2_plugins.cli.console import say
    from sam2_plugins.cli.loading import open_model
    from sam2_plugins.cli.prompts import collect_prompts
    from sam2_plugins.cli.tracking import Range, sweep
    from sam2_plugins.core.export import WriterGroup, open_writers
    from sam2_plugins.core.frames import open_frames
    from sam2_plugins.core.tracking.tracker import VideoTracker

    formats = _formats(format_)
    side = options.parse_tile(tile)
    how = options.reading(axes, channels, limits, z, stream, fps)
    said = collect_prompts(click or [], not_ or [], box or [], mask or [], prompts or [])
    if not said:
        raise typer.BadParameter("give at least one of --click, --box, --mask and --prompts.")
    if not overwrite:
        _refuse_to_replace(out, formats)
    with open_frames(source, **how) as frames:
        network = open_model(model, device, image_size)
        tracker = VideoTracker(network, frames, window=side, policy=memory)
        for prompt in said:
            tracker.add(prompt)
        if PROMPTS in formats:
            tracker.save_prompts(out / PROMPTS_FILE)
        written = [name for name in formats if name != PROMPTS]
        ordered = direction is Direction.forward
        writers = (
            open_writers(out, written, frames, tracker.objects, in_order=ordered)
            if written
            else WriterGroup(out)
        )
        try:
            outcome = sweep(tracker, writers, Range(direction.value, start, stop))
        except Sam2PluginsError:
            if writers.paths:
                say(f"What was tracked until then is in {out}.")
            raise
        for warning in frames.warnings:
            say(f"Note: {warning}")
        _report(tracker, outcome, out, writers.paths, json)


def _formats(text: str) -> list[str]:
    from sam2_plugins.core.export import FORMATS

    names = list(dict.fromkeys(part.strip().lower() for part in text.split(",")))
    choices = [*FORMATS, PROMPTS]
    if not set(names) <= set(choices):
        raise typer.BadParameter(f"--format is a list of {', '.join(choices)}, not '{text}'.")
    return names


def _refuse_to_replace(out: Path, formats: list[str]) -> None:
    from sam2_plugins.core.export import FORMATS

    for name in formats:
        path = out / (PROMPTS_FILE if name == PROMPTS else FORMATS[name])
        if path.exists():
            raise ExportError(
                f"{path} is there already. Choose another folder with --out, or say --overwrite."
            )


def _report(
    tracker: VideoTracker, outcome: Outcome, out: Path, files: tuple[Path, ...], json: bool
) -> None:
    """Tell what came out; exit with 130 if it was stopped."""
    from sam2_plugins.cli.console import print_json, say
    from sam2_plugins.cli.tracking import show, summarise

    summaries = summarise(tracker)
    prompts = out / PROMPTS_FILE
    made = [*files, *([prompts] if prompts.exists() else [])]
    if json:
        print_json(
            {
                "model": tracker.model.variant.name,
                "source": tracker.frames.name,
                "frames": outcome.frames,
                "interrupted": outcome.interrupted,
                "objects": summaries,
                "files": made,
            }
        )
    else:
        show(summaries)
        for path in made:
            say(f"  {path}")
    if outcome.interrupted:
        say(f"Stopped: {_span(outcome.frames)} kept in {out}.")
        raise typer.Exit(INTERRUPTED)


def _span(frames: Sequence[int]) -> str:
    if not frames:
        return "no frame was tracked; nothing is"
    if len(frames) == 1:
        return f"frame {frames[0]} is"
    return f"{len(frames)} frames, from {frames[0]} to {frames[-1]}, are"
