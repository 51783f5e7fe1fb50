"""`propagate_masks`: from labels on some frames to masks on all."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.tracking.options import parse_window
from sam2_plugins.fiftyone_plugin.checks import check_propagation
from sam2_plugins.fiftyone_plugin.finding import find_footage
from sam2_plugins.fiftyone_plugin.operators import forms
from sam2_plugins.fiftyone_plugin.operators.work import LongOperator, work
from sam2_plugins.fiftyone_plugin.propagation import run
from sam2_plugins.fiftyone_plugin.request import MovieReport, Report, Request, Where


class PropagateMasks(LongOperator):
    """Tracks labelled objects through videos and image sequences."""

    @property
    def config(self) -> foo.OperatorConfig:
        """What FiftyOne shows of it."""
        return foo.OperatorConfig(
            name="propagate_masks",
            label="SAM 2: propagate masks",
            description="Track labelled objects through videos and image sequences",
            icon="timeline",
            **self.OPTIONS,
        )

    def resolve_placement(self, ctx: Any) -> types.Placement:
        """Put a button above the grid."""
        button = types.Button(label="SAM 2: propagate masks", prompt=True)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def resolve_input(self, ctx: Any) -> types.Property:
        """Build the form, with what is wrong so far."""
        form = types.Object()
        view = ctx.target_view()
        try:
            _where(ctx)
            forms.add_notices(form, check_propagation(view, read_request(ctx), *_grouping(ctx)))
        except Sam2PluginsError as error:
            forms.add_problem(form, error)
        every = forms.add_all_objects(form, ctx)
        if not every:
            forms.add_prompt_fields(form, ctx, view)
        forms.add_grouping(form, view)
        forms.add_output_field(form)
        forms.add_range(form, forward_only=every)
        forms.add_model(form)
        forms.add_advanced(form, ctx)
        return types.Property(form, view=types.View(label="Propagate masks with SAM 2"))

    def execute(self, ctx: Any) -> Any:
        """Do it: step by step for the App, to the end if delegated."""
        request, view = read_request(ctx), ctx.target_view()
        check_propagation(view, request, *_grouping(ctx))
        where = _where(ctx)
        events = run(find_footage(view, *_grouping(ctx)), request, where)
        return work(ctx, events, Report.of, MovieReport.stopped)


def read_request(ctx: Any) -> Request:
    """Read what was filled in; what was not has its default."""
    given = {name: value for name, value in ctx.params.items() if value not in (None, "")}
    window = str(given.get("window") or given.get("tile") or "auto")
    read = {
        "window": parse_window(window),
        "prompt_frames": forms.read_frame_numbers(given.get("prompt_frames")),
        "label_ids": forms.chosen_labels(ctx),
    }
    return Request.of(given | read)


def _where(ctx: Any) -> Where:
    workers = ctx.params.get("workers")
    return Where(1 if workers is None else workers, ctx.params.get("dask") or None)


def _grouping(ctx: Any) -> tuple[str | None, str | None]:
    return ctx.params.get("group_by"), ctx.params.get("order_by")
