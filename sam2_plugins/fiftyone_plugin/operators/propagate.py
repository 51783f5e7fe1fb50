"""`propagate_masks`: from labels on some frames to masks on all; and `stop_propagation`."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from sam2_plugins.fiftyone_plugin.checks import check_propagation
from sam2_plugins.fiftyone_plugin.finding import find_footage
from sam2_plugins.fiftyone_plugin.operators import forms
from sam2_plugins.fiftyone_plugin.operators.work import LongOperator, work
from sam2_plugins.fiftyone_plugin.propagation import run
from sam2_plugins.fiftyone_plugin.request import MovieReport, Report, Where
from sam2_plugins.fiftyone_plugin.runs import stop_runs


class PropagateMasks(LongOperator):
    """Tracks labelled objects through videos and image sequences."""

    NAME, LABEL, ICON = "propagate_masks", "SAM 2: propagate masks", "timeline"
    DESCRIPTION = "Track labelled objects through videos and image sequences"
    TITLE = "Propagate masks with SAM 2"

    def resolve_placement(self, ctx: Any) -> types.Placement:
        """Put a button above the grid."""
        button = types.Button(label=self.LABEL, prompt=True)
        return types.Placement(types.Places.SAMPLES_GRID_SECONDARY_ACTIONS, button)

    def check(self, ctx: Any) -> list[str]:
        """Check the request."""
        _where(ctx)
        return check_propagation(ctx.target_view(), forms.read_request(ctx), *_grouping(ctx))

    def fill(self, form: types.Object, ctx: Any) -> None:
        """Add the prompts, unless all objects are wanted, and the frames."""
        view = ctx.target_view()
        every = forms.add_all_objects(form, ctx)
        if not every:
            forms.add_prompt_fields(form, ctx, view)
        forms.add_grouping(form, view)
        forms.add_output_field(form)
        forms.add_range(form, forward_only=every)
        forms.add_model(form)
        forms.add_advanced(form, ctx)

    def execute(self, ctx: Any) -> Any:
        """Run it: in the background of the App, or to the end if delegated."""
        self.check(ctx)
        movies = find_footage(ctx.target_view(), *_grouping(ctx))
        events = run(movies, forms.read_request(ctx), _where(ctx))
        return work(ctx, events, Report.of, MovieReport.stopped)


class StopPropagation(foo.Operator):
    """Stops every run on the dataset after its current frame, here or in another process."""

    @property
    def config(self) -> foo.OperatorConfig:
        """What FiftyOne shows of it."""
        return foo.OperatorConfig(
            name="stop_propagation",
            label="SAM 2: stop",
            description="Stop propagating masks after the frame at hand; what was done is kept",
            icon="stop_circle",
        )

    def execute(self, ctx: Any) -> None:
        """Stop the runs."""
        stop_runs(ctx)


def _where(ctx: Any) -> Where:
    workers = ctx.params.get("workers")
    return Where(1 if workers is None else workers, ctx.params.get("dask") or None)


def _grouping(ctx: Any) -> tuple[str | None, str | None]:
    return ctx.params.get("group_by"), ctx.params.get("order_by")
