"""The command `sam2-plugins`. Commands import what is heavy when they run, so that help is quick.

Exit codes: 0, all went well; 1, an error, explained on stderr with the mend; 2, wrong usage; 130,
stopped by Ctrl-C or a kill, with everything kept that was done.
"""

from __future__ import annotations

from typing import Annotated

import typer

from sam2_plugins import __version__
from sam2_plugins.cli.batch import batch
from sam2_plugins.cli.bench import bench
from sam2_plugins.cli.commands import Commands
from sam2_plugins.cli.demo import demo
from sam2_plugins.cli.evaluate import evaluate, evaluate_model
from sam2_plugins.cli.fiftyone import app as fiftyone
from sam2_plugins.cli.finetune import finetune
from sam2_plugins.cli.info import info
from sam2_plugins.cli.labelstudio import app as labelstudio
from sam2_plugins.cli.models import download, models
from sam2_plugins.cli.napari import napari
from sam2_plugins.cli.track import track
from sam2_plugins.cli.train import train

app = typer.Typer(
    name="sam2-plugins",
    cls=Commands,
    help="Segment and track anything in movies with SAM 2: click once, get masks on every frame.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sam2-plugins {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Options of all commands."""


for command in (track, batch, demo, napari, models, download, info):
    app.command()(command)
for command in (evaluate, evaluate_model, bench, train, finetune):
    app.command()(command)
app.add_typer(fiftyone, name="fiftyone")
app.add_typer(labelstudio, name="labelstudio")
