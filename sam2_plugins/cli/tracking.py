"""The long work of `track` and `demo`: progress, a gentle stop, and a table of the objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from sam2_plugins.batch.report import Progress
from sam2_plugins.cli.console import OUT, frames_progress, number, table
from sam2_plugins.cli.interrupt import stopping_gently
from sam2_plugins.cli.prompts import summarise_prompts

if TYPE_CHECKING:
    from sam2_plugins.batch.report import Events, Report
    from sam2_plugins.core.masks import ObjectId
    from sam2_plugins.core.prompts import Prompt


def follow(events: Events) -> Report | None:
    """Show the progress of a run to its end; return its report, or None if a person stopped it.

    Until the first frame is there, Ctrl-C stops at once; then it stops between two frames.
    """
    with closing(events):
        begun = next(events)
        if not isinstance(begun, Progress):  # it was all there before
            return begun
        with stopping_gently() as stop, closing(events), frames_progress() as progress:
            task = progress.add_task("Tracking", total=None)
            for event in chain([begun], events):
                if not isinstance(event, Progress):
                    return event
                progress.update(task, completed=event.done, total=event.total)
                if stop.requested:
                    return None
    raise AssertionError("a run ends with a report")


def described(
    report: Report, prompts: Iterable[Prompt], names: Mapping[ObjectId, str] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """Return how each object fared, with its name, if it has one, and what it was prompted by."""
    by_object: dict[ObjectId, list[Prompt]] = {}
    for prompt in prompts:
        by_object.setdefault(prompt.obj, []).append(prompt)
    return [
        {
            "prompt": summarise_prompts(by_object.get(one["object"], [])),
            **one,
            **({"name": names[one["object"]]} if one["object"] in names else {}),
        }
        for one in report.objects
    ]


def show(summaries: Sequence[dict[str, Any]]) -> None:
    """Print a table of the objects."""
    numbers = ("frames seen", "from", "to", "predicted IoU", "object score")
    rows = table(("object", "prompt"), numbers)
    for one in summaries:
        rows.add_row(
            f"{one['name']} ({one['object']})" if "name" in one else str(one["object"]),
            one["prompt"],
            f"{one['frames_seen']} of {one['frames_tracked']}",
            *(number(one[end], "d") for end in ("first", "last")),
            number(one["mean_iou"], ".2f"),
            number(one["mean_score"], ".1f"),
        )
    OUT.print(rows)
