"""`sam2-plugins models` and `sam2-plugins download`."""

from __future__ import annotations

from typing import Annotated

import typer

from sam2_plugins.cli import options


def models(json: options.Json = False) -> None:
    """List the models: size, licence, and whether the weights are on this machine."""
    from sam2_plugins.cli.console import OUT, number, print_json, say, table
    from sam2_plugins.core.checkpoints import cache_dir, list_models

    found = list_models()
    if json:
        print_json(found)
        return
    numbers = ("sees (px)", "MB", "GFLOP\na frame", "J&F")
    rows = table(("model", "what it is", "licence", "weights"), numbers)
    for one in found:
        where = "not here" if one.path is None else str(one.path)
        figures = (one.image_size, one.megabytes, one.gigaflop)
        shown = (*(number(figure, "g") for figure in figures), number(one.j_and_f, ".1f"))
        rows.add_row(one.name, one.about, one.licence, where, *shown)
    OUT.print(rows)
    say("J&F: the authors' figure on SA-V test. GFLOP: 10^9 operations, for one object.")
    say(f"`sam2-plugins download NAME` fetches weights into {cache_dir()}.")


def download(
    name: Annotated[str, typer.Argument(help="Such as sam2.1-tiny; see `models`.")],
    json: options.Json = False,
) -> None:
    """Fetch published weights into the cache, once. A stopped download goes on where it was."""
    from sam2_plugins.cli.console import print_json, say
    from sam2_plugins.cli.loading import fetch_model
    from sam2_plugins.core.variants import get_variant

    variant = get_variant(name)
    try:
        path = fetch_model(name)
    except KeyboardInterrupt:
        say("The part that came is kept: the same command goes on from there.")
        raise
    if json:
        print_json({"model": variant.name, "path": path, "licence": variant.licence})
    else:
        typer.echo(f"{variant.name} is in {path} (licence {variant.licence}).")
