"""Tables of scores: of sequences and objects, of labels, of a whole result."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sam2_plugins.cli.console import OUT, number, say, table
from sam2_plugins.core.evaluation import CtcScores, MeanReport, SequenceReport
from sam2_plugins.core.evaluation.metrics import SequenceScores

MEASURES = {
    "J": "J",
    "F": "F",
    "JF": "J&F",
    "SEG": "SEG",
    "J_last": "J\nlast",
    "kept_end": "kept\nend",
    "kept_all": "kept\nall",
    "track_frac": "track\nfrac",
    "id_switch": "id\nswitch",
}
"""Measure to the head of its column, narrow enough for all to fit a terminal of 80 characters."""

CTC_MEASURES = {"DET": "DET", "SEG": "SEG", "TRA": "TRA", "division_f1": "division\nF1"}

Row = tuple[str, dict[str, Any], str]
"""Name, values by measure, and a remark at the end."""


def show_model(reports: Sequence[SequenceReport], means: Sequence[MeanReport]) -> None:
    """Show how a model did on each dataset, and the means by kind."""
    efforts = {"prompted_frames": "frames\n/ obj.", "clicks": "clicks\n/ obj."}
    shown = {**efforts, "prompt_iou": "prompt\nIoU"}
    shown |= {name: MEASURES[name] for name in ("J", "F", "JF", "SEG", "kept_end", "track_frac")}
    rows: list[Row] = []
    for one in reports:
        effort = {name: getattr(one.rounds[-1], name) for name in efforts}
        values = {**effort, "prompt_iou": one.prompt_iou, **asdict(one.scores)}
        rows.append((one.name, values, f"{one.seconds:.2f}"))
    for mean in means:
        rows.append((f"mean {mean.kind}", {**vars(mean), **asdict(mean.scores)}, ""))
    _show("dataset", "s per\nframe", rows, shown)
    for mean in means:
        if mean.reached > 0:  # nan: nothing comes after the prompted frames
            say(
                f"{mean.kind}: {mean.reached:.0%} of the objects reached J 0.75, after "
                f"{mean.clicks_to_reach:.1f} interactions on average."
            )
    if reports:
        say(f"Peak memory {max(one.peak_megabytes for one in reports):.0f} MB.")


def show_objects(reports: Sequence[SequenceReport]) -> None:
    """Show what each object took, and how well it was followed."""
    rows = [
        (f"{report.name} {one.id}", asdict(one), number(one.clicks_to_reach, "d"))
        for report in reports
        for one in report.objects
    ]
    measures = {"prompted_frames": "frames", "clicks": "clicks", "J": "J", "F": "F", "JF": "J&F"}
    _show("object", "clicks to\nJ 0.75", rows, measures)


def show_labels(scores: SequenceScores, per_object: bool) -> None:
    """Show how well labels agree with the true ones."""
    rows: list[Row] = []
    if per_object:
        rows += [(str(one.id), asdict(one), str(one.frames)) for one in scores.objects]
    rows.append((f"mean of {scores.n_objects}", asdict(scores), ""))
    _show("object", "frames", rows, MEASURES)


def show_whole(name: str, scores: CtcScores, per_object: bool) -> None:
    """Show the scores of a whole result with its divisions, and what is left to correct."""
    shown = table(["result"], [*CTC_MEASURES.values(), "objects\n/ true", "divisions\n/ true"])
    shown.add_row(
        name,
        *(number(getattr(scores, measure)) for measure in CTC_MEASURES),
        f"{scores.objects} / {scores.true_objects}",
        f"{scores.divisions} / {scores.true_divisions}",
    )
    OUT.print(shown)
    left = table(["corrections left"], [*scores.acts, "all"])
    left.add_row("", *map(str, scores.acts.values()), str(sum(scores.acts.values())))
    OUT.print(left)
    if per_object:
        each = table(["frame", "act", "object"])
        for one in scores.corrections:
            of = "result" if one.act in ("delete", "unite") else "truth"
            each.add_row(str(one.frame), one.act, f"{one.label} of the {of}")
        OUT.print(each)
    say("Objects are matched by overlap, whatever their ids.")
    for remark in scores.remarks:
        say(remark)


def say_other_ids(what: str, names: Mapping[int, int], objects: Collection[int]) -> None:
    """Say which label was taken for which object."""
    pairs = [f"{label} for {obj}" for obj, label in sorted(names.items())]
    shown = ", ".join(pairs[:8]) + (f" and {len(pairs) - 8} more" if len(pairs) > 8 else "")
    without = sorted(set(objects) - set(names))
    alone = f" Nothing overlaps {', '.join(map(str, without))}." if without else ""
    say(
        f"{what} has other ids than the truth: objects are matched by their overlap where they "
        f"are first met (label {shown}).{alone}"
    )


def _show(what: str, remark: str, rows: Sequence[Row], measures: Mapping[str, str]) -> None:
    shown = table([what], [*measures.values(), remark])
    for name, values, note in rows:
        shown.add_row(name, *(f"{values[measure]:.3f}" for measure in measures), note)
    OUT.print(shown)
