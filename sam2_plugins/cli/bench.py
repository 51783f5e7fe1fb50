"""`sam2-plugins bench`: where the time goes, on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from sam2_plugins.cli import options
from sam2_plugins.cli.groups import grouped

if TYPE_CHECKING:
    from sam2_plugins.core.tracking.profiling import Profile


@dataclass(frozen=True)
class MeasureOptions:
    """What is measured."""

    panel: ClassVar[str] = "What is measured"

    sizes: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,…",
            help="Sides of the model's input in pixels.",
            show_default="each model's own",
        ),
    ] = None
    objects: Annotated[str, typer.Option(metavar="N,N,…", help="Numbers of objects.")] = "1,8"
    frames: Annotated[int, typer.Option(min=1, help="Frames that are averaged.")] = 5


@dataclass(frozen=True)
class WhereOptions:
    """Where it runs."""

    panel: ClassVar[str] = "Where"

    device: options.Device = "auto"
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads on the CPU.", show_default="torch's choice")
    ] = None


@grouped
def bench(
    measure: MeasureOptions,
    where: WhereOptions,
    models: Annotated[list[str] | None, typer.Argument(help="Models.", show_default="nano")] = None,
    json: options.Json = False,
) -> None:
    """Show where the time goes on this machine: milliseconds per frame, by part of the network.

    A synthetic movie is tracked until the memory bank is full; then whole frames are measured, and
    each part by itself. The floor is what the arithmetic would take at the measured rate of a
    matrix product. A graphics card is measured with and without CUDA graphs, and its memory is
    shown. A model that is not downloaded is measured with random weights: the time is the same.
    """
    import torch

    from sam2_plugins.cli.console import print_json, say
    from sam2_plugins.core.checkpoints import choose_device, find_weights, load_model
    from sam2_plugins.core.model import build_model
    from sam2_plugins.core.tracking.profiling import matrix_rate, profile_tracking
    from sam2_plugins.core.variants import VARIANTS, get_variant

    if where.threads:
        torch.set_num_threads(where.threads)
    counts = options.numbers(measure.objects, int, "--objects") or []
    sides = options.numbers(measure.sizes, int, "--sizes") or [None]
    if min(counts, default=0) < 1:
        raise typer.BadParameter(f"--objects are numbers from 1, not '{measure.objects}'.")
    profiles, rate = [], 0.0
    for name in models or ["nano"]:
        for side in sides:
            if name in VARIANTS and find_weights(name) is None:
                model = build_model(get_variant(name), side).eval()
                model = model.to(choose_device(where.device))
            else:
                model = load_model(name, where.device, side)
            rate = rate or matrix_rate(model.device)
            for count in counts:
                for graphs in (True, False) if model.device.type == "cuda" else (True,):
                    ways = "" if graphs else ", without graphs"
                    say(f"{name}, {model.image_size} px, objects: {count}{ways} …")
                    profile = profile_tracking(model, count, rate, measure.frames, graphs)
                    profiles.append(profile)
    facts = {"device": str(model.device), "threads": torch.get_num_threads()}
    if json:
        each = [
            {**vars(profile), "total": profile.total, "ratio_to_floor": _ratio(profile)}
            for profile in profiles
        ]
        print_json({**facts, "gigaflop_per_second": rate / 1e9, "profiles": each})
    else:
        _show(profiles)
        machine = ", ".join(f"{name}: {value}" for name, value in facts.items())
        say(f"Matrix product, float32: {rate / 1e9:.0f} GFLOP/s ({machine}).")


def _show(profiles: list[Profile]) -> None:
    from sam2_plugins.cli.console import OUT, table

    parts = list(profiles[0].seconds)
    heads = [part.replace(" ", "\n") for part in parts]
    card = any(one.device_megabytes for one in profiles)
    names = ["px", "objects", *heads, "frame\nms", "floor\nms", "frame\n/ floor"]
    rows = table(["model"], [*names, *(["waits\nms", "device\nMB", "graphs"] if card else [])])
    for one in profiles:
        device = (
            _milliseconds(one.waited),
            f"{one.device_megabytes:.0f}",
            "yes" if one.graphs else "no",
        )
        rows.add_row(
            one.model,
            str(one.image_size),
            str(one.objects),
            *(_milliseconds(one.seconds[part]) for part in parts),
            _milliseconds(one.frame),
            _milliseconds(one.floor),
            f"{_ratio(one):.1f}",
            *(device if card else ()),
        )
    OUT.print(rows)


def _ratio(profile: Profile) -> float:
    return profile.frame / profile.floor


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f}" if seconds >= 0.01 else f"{1000 * seconds:.1f}"
