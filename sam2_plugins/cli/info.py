"""`sam2-plugins info`: what a source of frames is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from sam2_plugins.cli import options
from sam2_plugins.cli.groups import grouped


@grouped
def info(
    source: Annotated[str, typer.Argument(help="Whatever `track` takes.")],
    reading: options.ReadingOptions,
    json: options.Json = False,
) -> None:
    """Describe a movie: size, frames, times, axes, contrast, and what is wrong with it."""
    from sam2_plugins.cli.console import OUT, print_json, say, table
    from sam2_plugins.core.frames import probe

    found = probe(source, **reading.arguments())
    if json:
        print_json(found)
        return
    facts = asdict(found)
    warnings = facts.pop("warnings")
    rows = table(("fact", "value"))
    for name, value in facts.items():
        rows.add_row(name.replace("_", " "), _text(value))
    OUT.print(rows)
    for warning in warnings:
        say(f"Note: {warning}")


def _text(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple) and not isinstance(value[0], tuple):
        return " x ".join(f"{size:.6g}" for size in value) + " µm"
    if isinstance(value, tuple):
        return "; ".join(f"{low:.6g} to {high:.6g}" for low, high in value)
    return str(value)
