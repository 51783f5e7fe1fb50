"""Options that several commands have, and how their values are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="auto (the best that is here), nano (embedded), edgetam, sam2.1-tiny …, see `models`, "
        "or a .pt or .safetensors file.",
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
ImageSize = Annotated[
    int | None,
    typer.Option(
        help="Side in pixels of the square that the model sees: for SAM 2 a multiple of 32, for "
        "edgetam of 256. Published models were trained at their own only.",
        show_default="the model's own",
    ),
]
Tile = Annotated[
    str,
    typer.Option(
        "--window",
        "--tile",
        metavar="auto|none|N",
        help="See small objects through windows of (near) native resolution: "
        "where it helps, never, or always of N pixels.",
    ),
]


def memory_name(name: str | None) -> str | None:
    """Check the name of a memory policy; those of earlier versions are understood."""
    from sam2_plugins.core.errors import TrackingError
    from sam2_plugins.core.tracking.memory.policies import policy_name

    try:
        return None if name is None else policy_name(name)
    except TrackingError as error:
        raise typer.BadParameter(str(error)) from error


def _memory_names() -> list[str]:
    from sam2_plugins.core.tracking.memory.policies import policies

    return list(policies())


Memory = Annotated[
    str,
    typer.Option(
        callback=memory_name,
        autocompletion=_memory_names,
        help="What each object remembers: sam2, as published; samurai, by motion; dam4sam, by "
        "what it was told apart from.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")]

Axes = Annotated[
    str | None,
    typer.Option(help="Axes of an array, such as TYX or TCYX.", rich_help_panel="Reading"),
]
Channels = Annotated[
    str | None,
    typer.Option(metavar="C[,C[,C]]", help="Channels to show, from 0.", rich_help_panel="Reading"),
]
Limits = Annotated[
    str | None,
    typer.Option(
        metavar="LOW,HIGH",
        help="Values that become black and white.",
        show_default="percentiles of the movie",
        rich_help_panel="Reading",
    ),
]
Plane = Annotated[
    int | None, typer.Option("--z", help="Plane of a stack.", rich_help_panel="Reading")
]
Stream = Annotated[
    int | None,
    typer.Option(help="Video stream of a file, or series of a TIFF.", rich_help_panel="Reading"),
]
Fps = Annotated[
    float | None,
    typer.Option(help="Frames per second, if the file is wrong.", rich_help_panel="Reading"),
]


def reading(
    axes: str | None,
    channels: str | None,
    limits: str | None,
    z: int | None,
    stream: int | None,
    fps: float | None,
) -> dict[str, Any]:
    """Turn the options of reading into arguments of `open_frames`."""
    return {
        "axes": axes,
        "channels": numbers(channels, int, "--channels"),
        "limits": _pair(limits),
        "z": z,
        "stream": stream,
        "fps": fps,
    }


def parse_tile(text: str) -> Literal["auto"] | int | None:
    """Read the value of --tile."""
    if text == "auto":
        return "auto"
    if text == "none":
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise typer.BadParameter(f"'{text}' is neither auto, none nor a number of pixels.")


def _pair(text: str | None) -> tuple[float, float] | None:
    values = numbers(text, float, "--limits")
    if values is None:
        return None
    if len(values) != 2:
        raise typer.BadParameter(f"--limits are two numbers LOW,HIGH, not '{text}'.")
    return values[0], values[1]


def numbers(text: str | None, kind: type, option: str) -> list[Any] | None:
    """Read numbers with commas between them; None stays None."""
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{option} are numbers with commas, not '{text}'.") from error
