"""Parts of the operators' forms, and of the reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import fiftyone.core.media as fom
from fiftyone.operators import types

from sam2_plugins.core.checkpoints import AUTO, choose_model, list_models
from sam2_plugins.core.tracking.memory.policies import policy_help
from sam2_plugins.core.tracking.schedule import DIRECTIONS
from sam2_plugins.fiftyone_plugin.checks import prompt_fields
from sam2_plugins.fiftyone_plugin.evaluation import EvaluationReport, MovieScores
from sam2_plugins.fiftyone_plugin.footage import FootageError
from sam2_plugins.fiftyone_plugin.request import OUTPUT_FIELD, MovieReport, Report, Request

Outcome: TypeAlias = "Report | EvaluationReport"

_MOST_NUMBERS = 10_000_000
"""Frames of a range that is typed: a typing error must not fill the memory."""

MOST_MOVIES = 100
"""Movies that a report lists one by one: FiftyOne keeps it in one document."""

_DIRECTIONS = {
    "forward": ("Forward", "From each object's first prompt to the end"),
    "backward": ("Backward", "From each object's last prompt to the beginning"),
    "both": ("Both ways", "Outward from every prompt, each frame from the nearest one"),
}


def add_prompt_fields(form: types.Object, ctx: Any, view: Any) -> None:
    """Add the fields that hold the prompts."""
    fields = prompt_fields(view)
    form.list(
        "prompt_fields",
        types.String(),
        default=fields if len(fields) == 1 else None,
        label="Prompts",
        description="Detections, Keypoints, Polylines or Segmentation on any frames",
        view=_offering(types.DropdownView(multiple=True), fields),
    )
    if ctx.selected_labels:
        form.bool(
            "only_selected_labels",
            default=False,
            label=f"Only the {len(ctx.selected_labels)} selected labels",
        )


def add_all_objects(form: types.Object, ctx: Any) -> bool:
    """Offer to find all objects, and return whether that is wanted."""
    form.bool(
        "all_objects",
        default=False,
        label="All objects, without prompts",
        description="Made for cells: each with its births, divisions and end",
    )
    return bool(ctx.params.get("all_objects"))


def add_field(form: types.Object, view: Any, name: str, label: str, default: str | None) -> None:
    """Add one field with labels."""
    fields = prompt_fields(view)
    choices = _offering(types.DropdownView(space=6), fields)
    form.str(name, default=default if default in fields else None, label=label, view=choices)


def add_grouping(form: types.Object, view: Any) -> None:
    """Add the fields that group single images to movies."""
    if view.media_type != fom.IMAGE or view._is_frames:
        return
    choices = _offering(types.AutocompleteView(), view.get_field_schema())
    form.str("group_by", label="Movie", description="Field with its movie", view=choices)
    form.str("order_by", label="Order", description="Field with its place in it", view=choices)


def add_output_field(form: types.Object) -> None:
    """Add where the masks go."""
    form.str(
        "output_field",
        default=OUTPUT_FIELD,
        label="Masks go to the field",
        description="Detections on every frame; labels that people made there are never replaced",
    )


def add_range(form: types.Object, forward_only: bool) -> None:
    """Add the direction and the frames."""
    choices = types.RadioGroup(orientation="horizontal")
    for name in DIRECTIONS[:1] if forward_only else DIRECTIONS:
        label, about = _DIRECTIONS[name]
        choices.add_choice(name, label=label, description=about)
    form.enum("direction", choices.values(), default="forward", label="Direction", view=choices)
    form.int(
        "first", label="First frame", description="From 1; empty: from the prompts", view=_half()
    )
    form.int("last", label="Last frame", description="Empty: to the end", view=_half())


def add_everything(form: types.Object) -> None:
    """Add how to look for everything."""
    for name, default, label in (
        ("min_iou", 0.8, "Lowest predicted IoU"),
        ("min_stability", 0.95, "Lowest stability"),
    ):
        form.float(name, default=default, min=0, max=1, label=label, view=_half())
    form.int("points_per_side", default=32, min=1, label="Clicks along each side", view=_half())


def add_model(form: types.Object) -> None:
    """Add the model."""
    choices = types.DropdownView()
    choices.add_choice(AUTO, label=AUTO, description=choose_model().note)
    for one in list_models():
        here = "" if one.path is not None else f", {one.megabytes} MB to download"
        choices.add_choice(one.name, label=f"{one.name}{here}", description=one.about)
    form.str("model", default=AUTO, label="Model", view=choices)


def add_advanced(form: types.Object, ctx: Any) -> None:
    """Add the advanced options, if they are wanted."""
    if not _unfold(form, ctx):
        return
    about = "Such as 1, or 1, 30-40; empty: all that have labels"
    _add_text(form, "prompt_frames", "Only prompts on frames", about)
    about = "As PNG files; empty: in the database"
    _add_text(form, "masks_folder", "Keep the masks in a folder", about)
    form.bool(
        "remove_unprompted",
        default=False,
        label="Remove tracks of objects whose prompts are gone",
    )
    choices = types.DropdownView(space=6)
    for name, about in policy_help().items():
        choices.add_choice(name, label=name, description=about)
    form.enum("memory", choices.values(), default="sam2", label="Memory", view=choices)
    about = "auto: small objects are seen close by; none: the whole frame; or pixels"
    _add_text(form, "window", "Window", about, "auto")
    _add_machine(form)
    form.int(
        "workers",
        default=1,
        min=1,
        label="Processes",
        description="Several track movies beside each other",
        view=_half(),
    )
    _add_text(form, "dask", "Dask scheduler", "Its address; empty: this machine")


def add_machine(form: types.Object, ctx: Any) -> None:
    """Add where the model runs, if it is wanted."""
    if _unfold(form, ctx):
        _add_machine(form)


def _unfold(form: types.Object, ctx: Any) -> bool:
    form.bool("advanced", default=False, label="Show advanced options", view=types.SwitchView())
    return bool(ctx.params.get("advanced"))


def _add_machine(form: types.Object) -> None:
    _add_text(form, "device", "Device", "auto, cpu, cuda, cuda:1, mps", "auto")
    form.int(
        "image_size",
        label="Image size",
        description="Side of what the model sees; empty: its own",
        view=_half(),
    )


def _add_text(
    form: types.Object, name: str, label: str, about: str, default: str | None = None
) -> None:
    form.str(name, default=default, label=label, description=about, view=_half())


def _offering(choices: types.Choices, names: Iterable[str]) -> types.Choices:
    for name in names:
        choices.add_choice(name, label=name)
    return choices


def _half() -> types.View:
    """Half of the form's width."""
    return types.FieldView(space=6)


def add_problem(form: types.Object, error: Exception) -> None:
    """Show an error; the form cannot be sent."""
    problem = form.view("problem", types.Error(label=str(error)))
    problem.invalid = True
    problem.error_message = str(error)


def add_notices(form: types.Object, notices: Sequence[str]) -> None:
    """Show notices, which do not keep the form from being sent."""
    for number, text in enumerate(notices):
        form.view(f"notice_{number}", types.Notice(label=text))


def read_request(ctx: Any) -> Request:
    """Read the form; empty fields have their defaults."""
    given = {name: value for name, value in ctx.params.items() if value not in (None, "")}
    window = str(given.get("window") or given.get("tile") or "auto")
    chosen = None
    if ctx.params.get("only_selected_labels"):
        chosen = frozenset(label["label_id"] for label in ctx.selected_labels)
    numbers = read_frame_numbers(given.get("prompt_frames"))
    return Request.of({**given, "window": window, "prompt_frames": numbers, "label_ids": chosen})


def read_frame_numbers(text: Any) -> frozenset[int] | None:
    """Read numbers and ranges of frames, or a list of them; None if nothing was given."""
    if text is None or text == "":
        return None
    if isinstance(text, list | tuple | set | frozenset):
        text = ",".join(map(str, text))
    numbers: set[int] = set()
    for part in str(text).split(","):
        first, dash, last = part.strip().partition("-")
        try:
            found = range(int(first), int(last if dash else first) + 1)
        except ValueError:
            found = range(0)
        if not 0 < found.stop - found.start <= _MOST_NUMBERS:
            raise FootageError(f"{part.strip()!r} is no frame number: write 1, or 1, 30-40.")
        numbers.update(found)
    return frozenset(numbers)


def show_report(ctx: Any, report: Outcome) -> Iterator[Any]:
    """Show the report in the App, and the new labels."""
    yield ctx.ops.reload_dataset()
    good = not report.problems
    yield ctx.ops.notify(f"SAM 2: {report}", variant="success" if good else "warning")
    if not good:
        yield ctx.ops.show_output(report_form().type, report_values(report))


def report_values(report: Outcome) -> dict[str, Any]:
    """Return a report as plain values; of very many movies, those with notices."""
    movies: list[MovieReport | MovieScores] = sorted(report.movies, key=lambda one: not one.notices)
    problems = list(report.problems)
    lines = problems[:MOST_MOVIES]
    if len(problems) > len(lines):
        lines.append(f"… and {len(problems) - len(lines)} more.")
    return {
        "summary": str(report),
        "problems": "\n\n".join(lines) or None,
        "movies": [asdict(movie) for movie in movies[:MOST_MOVIES]],
        "more_movies": max(0, len(movies) - MOST_MOVIES),
    }


def report_form() -> types.Property:
    """Return the layout of a report."""
    form = types.Object()
    form.str("summary", label="Result", view=types.LabelValueView())
    form.str("problems", label="To know", view=types.MarkdownView())
    return types.Property(form, view=types.View(label="SAM 2"))
