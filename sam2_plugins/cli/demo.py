"""`sam2-plugins demo`: the whole thing on a real movie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sam2_plugins.cli import options
from sam2_plugins.cli.commands import INTERRUPTED
from sam2_plugins.cli.groups import grouped


@dataclass(frozen=True)
class DemoModelOptions(options.ModelOptions):
    """Which network: what is embedded, unless another is wished for."""

    model: options.Model = "nano"


@grouped
def demo(
    chosen: DemoModelOptions,
    out: options.Out = Path("demo-output"),
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Use a made-up movie; needs no network.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Track a dozen cells of a real time-lapse, one click or box each, and show the result.

    Writes label images, an overlay video, a contact sheet, a close-up of every cell, a table and
    the prompts. The movie (50 MB) is fetched once; without a network, a synthetic one is used.
    """
    from sam2_plugins.batch.folder import ResultFolder
    from sam2_plugins.cli.console import ERR, print_json, say
    from sam2_plugins.cli.loading import open_model
    from sam2_plugins.cli.tracking import described, follow, show
    from sam2_plugins.demo.movie import open_demo_movie, open_synthetic
    from sam2_plugins.demo.run import prompt_cells, track_demo

    with ERR.status("Getting the movie …"):
        movie = open_synthetic() if synthetic else open_demo_movie()
    if movie.fallback:
        say(f"The real movie cannot be had, so a synthetic one is shown. {movie.fallback}")
    say(f"Movie: {movie.about}")
    network = open_model(chosen.model, chosen.device, chosen.image_size)
    with movie.frames:
        tracker = prompt_cells(network, movie.frames)
        say(f"Cells: {len(tracker.objects)}, found by their brightness, one click or box each")
        title = f"{movie.title}, tracked by {network.variant.name}"
        finished = follow(track_demo(out, tracker, title))
    report = finished or ResultFolder(out).record()
    objects = described(report, tracker.prompts) if report else []
    files = sorted(out.iterdir()) if out.is_dir() else []
    if json:
        print_json({"movie": movie.about, "objects": objects, "files": files})
    else:
        show(objects)
        say(f"Look at {out / 'cells.png'} and {out / 'overlay.mp4'}; all files:")
        for path in files:
            say(f"  {path}")
    if finished is None:
        say(f"Stopped after {report.frames if report else 0} frames, which are kept.")
        raise typer.Exit(INTERRUPTED)
