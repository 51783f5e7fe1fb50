"""`sam2-plugins fiftyone`: install the plugin, look at what is missing, try it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from sam2_plugins.cli import options
from sam2_plugins.core.errors import Sam2PluginsError

app = typer.Typer(help="FiftyOne: propagate masks across datasets.", no_args_is_help=True)

PluginsDir = Annotated[
    Path | None,
    typer.Option(help="Folder of FiftyOne's plugins, if not the one that is configured."),
]


@app.command()
def install(
    plugins_dir: PluginsDir = None,
    copy: Annotated[
        bool, typer.Option("--copy", help="Copy instead of linking, where links are not allowed.")
    ] = False,
) -> None:
    """Put the plugin into FiftyOne's folder of plugins; its App shows it after a reload."""
    _need_fiftyone()
    from sam2_plugins.fiftyone_plugin.install import install

    typer.echo(f"The plugin is in {install(plugins_dir, copy=copy)}.")


@app.command()
def uninstall(plugins_dir: PluginsDir = None) -> None:
    """Take the plugin away. Datasets, and the masks in them, stay."""
    _need_fiftyone()
    from sam2_plugins.fiftyone_plugin.install import uninstall

    gone = uninstall(plugins_dir)
    typer.echo("The plugin was not there." if gone is None else f"The plugin is gone from {gone}.")


@app.command()
def archive(
    out: Annotated[Path, typer.Argument(help="Archive to write.")] = Path("sam2-fiftyone.zip"),
    overwrite: options.Overwrite = False,
) -> None:
    """Write the plugin alone, a few kilobytes, for `fiftyone plugins download`."""
    from sam2_plugins.fiftyone_plugin.install import archive

    written = archive(out, overwrite=overwrite)
    typer.echo(f"The plugin is in {written}; FiftyOne's Python needs sam2-plugins, too.")


@app.command()
def doctor(json: options.Json = False) -> None:
    """Check what the plugin needs, and say how to get what is missing."""
    from sam2_plugins.cli.console import OUT, print_json, say, table
    from sam2_plugins.fiftyone_plugin.doctor import examine

    findings = list(examine())
    if json:
        print_json(findings)
    else:
        rows = table(("", "what", "found"))
        for finding in findings:
            sign = "ok" if finding.good else "missing" if finding.needed else "note"
            rows.add_row(sign, finding.what, finding.seen)
        OUT.print(rows)
        for finding in findings:
            if not finding.good:
                say(f"{finding.what}: {finding.mend}")
    if any(finding.needed and not finding.good for finding in findings):
        raise typer.Exit(1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the video.")] = Path(
        "fiftyone-demo"
    ),
    address: Annotated[str, typer.Option(help="Address of the App.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the App.")] = 5151,
    app: Annotated[
        bool, typer.Option("--app/--no-app", help="Open the App, or only make the dataset.")
    ] = True,
    overwrite: options.Overwrite = False,
) -> None:
    """Open the App on a made-up time-lapse with boxes and clicks on cells of its first frame."""
    _need_fiftyone()
    import fiftyone as fo

    from sam2_plugins.fiftyone_plugin.demo import DATASET, make_demo
    from sam2_plugins.fiftyone_plugin.install import install, is_seen

    if not is_seen():
        typer.echo(f"The plugin is in {install()}.")
    dataset = make_demo(out.absolute(), overwrite=overwrite)
    typer.echo(f"The dataset {DATASET} has a video with prompts on its first frame.")
    if not app:
        return
    session = fo.launch_app(dataset, remote=True, address=address, port=port)
    typer.echo(
        f"Open http://{address}:{port} and press “SAM 2: propagate masks” above the samples. "
        "Ctrl-C ends the App."
    )
    session.wait(-1)


def _need_fiftyone() -> None:
    if find_spec("fiftyone") is None:
        raise Sam2PluginsError('FiftyOne is not installed: pip install "sam2-plugins[fiftyone]".')
