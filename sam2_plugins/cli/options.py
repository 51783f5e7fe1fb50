"""Options that several commands have, in groups, and how their values are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

if TYPE_CHECKING:
    from sam2_plugins.core.tracking.options import TrackingOptions


def model_names(begun: str) -> list[str]:
    """Return the models whose names begin so, for a shell."""
    from sam2_plugins.core.checkpoints import AUTO
    from sam2_plugins.core.variants import VARIANTS

    return [name for name in (AUTO, *VARIANTS) if name.startswith(begun)]


def format_names(begun: str) -> list[str]:
    """Return lists of formats that begin so, for a shell."""
    from sam2_plugins.batch.folder import FILES

    before, comma, last = begun.rpartition(",")
    given = before.split(",")
    return [
        f"{before}{comma}{name}" for name in FILES if name.startswith(last) and name not in given
    ]


def file_formats(text: str) -> tuple[str, ...]:
    """Read the value of --format of the commands that write a folder of results."""
    from sam2_plugins.batch.folder import FILES
    from sam2_plugins.core.errors import ExportError
    from sam2_plugins.core.export import parse_formats

    try:
        return parse_formats(text, FILES)
    except ExportError as error:
        raise typer.BadParameter(str(error)) from error


def memory_name(name: str | None) -> str | None:
    """Check the name of a memory policy; names of earlier versions are accepted."""
    from sam2_plugins.core.errors import TrackingError
    from sam2_plugins.core.tracking.memory.policies import policy_name

    try:
        return None if name is None else policy_name(name)
    except TrackingError as error:
        raise typer.BadParameter(str(error)) from error


def memory_names() -> list[str]:
    """Return the memory policies, for a shell."""
    from sam2_plugins.core.tracking.memory.policies import policies

    return list(policies())


Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="auto (the best that is here), nano (embedded), edgetam, sam2.1-tiny …, see `models`, "
        "or a .pt or .safetensors file.",
        autocompletion=model_names,
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
Window = Annotated[
    str,
    typer.Option(
        "--window",
        "--tile",
        metavar="auto|none|N",
        help="See small objects through windows of (near) native resolution: "
        "where it helps, never, or always of N pixels.",
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        callback=memory_name,
        autocompletion=memory_names,
        help="What each object remembers: sam2, as published; samurai, by motion; dam4sam, by "
        "what it was distinguished from.",
    ),
]
Neighbours = Annotated[
    bool,
    typer.Option(help="A new mask leaves out what was clicked on for other objects before."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the results.")]
Formats = Annotated[
    str,
    typer.Option(
        "--format",
        "-f",
        metavar="A,B,…",
        help="Any of tiff (labels), mp4 (overlay), png (contact sheet), csv, coco, ctc, geff, "
        "trackmate, prompts.",
        autocompletion=format_names,
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what is in the way where results are written.")
]

Force = Annotated[
    bool, typer.Option("--force", help="Use prompts that were saved for another movie.")
]


@dataclass(frozen=True)
class ModelOptions:
    """Which network, and where it runs."""

    panel: ClassVar[str] = "Model"

    model: Model = "auto"
    device: Device = "auto"
    image_size: ImageSize = None


@dataclass(frozen=True)
class RangeOptions:
    """Which way and how far to track."""

    panel: ClassVar[str] = "Range"

    direction: Annotated[
        Literal["forward", "backward", "both"],
        typer.Option(help="both: outward from every prompt."),
    ] = "forward"
    start: Annotated[int | None, typer.Option(help="First frame, from 0.")] = None
    stop: Annotated[int | None, typer.Option(help="Last frame, included.")] = None


@dataclass(frozen=True)
class LookingOptions:
    """How a tracker looks at the frames, and what it remembers."""

    panel: ClassVar[str] = "Tracking"

    window: Window = "auto"
    memory: Memory = "sam2"
    neighbours: Neighbours = True


def tracking_options(*groups: object, **more: object) -> TrackingOptions:
    """Join groups of options for tracking."""
    from sam2_plugins.core.errors import TrackingError
    from sam2_plugins.core.tracking.options import TrackingOptions

    values = {name: value for group in groups for name, value in vars(group).items()}
    try:
        return TrackingOptions.of(values | more)
    except TrackingError as error:
        raise typer.BadParameter(str(error)) from error


@dataclass(frozen=True)
class ArrayOptions:
    """How an array or a picture is read."""

    panel: ClassVar[str] = "Reading"

    axes: Annotated[str | None, typer.Option(help="Axes of an array, such as TYX or TCYX.")] = None
    channels: Annotated[
        str | None, typer.Option(metavar="C[,C[,C]]", help="Channels to show, from 0.")
    ] = None
    limits: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="Values that become black and white.",
            show_default="percentiles of the movie",
        ),
    ] = None
    z: Annotated[int | None, typer.Option("--z", help="Plane of a stack.")] = None

    def arguments(self) -> dict[str, Any]:
        """Return them as arguments of `open_frames`."""
        limits = numbers(self.limits, float, "--limits")
        if limits is not None and len(limits) != 2:
            raise typer.BadParameter(f"--limits are two numbers LOW,HIGH, not '{self.limits}'.")
        return {
            "axes": self.axes,
            "channels": numbers(self.channels, int, "--channels"),
            "limits": limits and tuple(limits),
            "z": self.z,
        }


@dataclass(frozen=True)
class ReadingOptions(ArrayOptions):
    """How a movie is read."""

    stream: Annotated[
        int | None,
        typer.Option(help="Video stream of a file, or series of a TIFF, OME-Zarr or folder."),
    ] = None
    channels_by: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Part of file names with the channel: `_(BF|GFP)_`."),
    ] = None
    fps: Annotated[float | None, typer.Option(help="Frames per second, if the file is wrong.")] = (
        None
    )

    def arguments(self) -> dict[str, Any]:
        """Return them as arguments of `open_frames`."""
        files = {"stream": self.stream, "fps": self.fps, "channels_by": self.channels_by}
        return {**super().arguments(), **files}


def numbers(text: str | None, kind: type, option: str) -> list[Any] | None:
    """Read numbers with commas between them; None stays None."""
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(f"{option} are numbers with commas, not '{text}'.") from error
