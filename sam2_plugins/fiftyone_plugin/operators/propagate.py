"""`propagate_masks`: from labels on some frames to masks on all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.fiftyone_plugin.checks import check_propagation
from sam2_plugins.fiftyone_plugin.finding import find_footage
from sam2_plugins.fiftyone_plugin.operators import forms
from sam2_plugins.fiftyone_plugin.operators.work import LONG_WORK, work
from sam2_plugins.fiftyone_plugin.propagation import run
from sam2_plugins.fiftyone_plugin.request import (
    OUTPUT_FIELD,
    Request,
    Where,
    field_names,
)


class PropagateMasks(foo.Operator):
    """Tracks labelled objects through videos and image sequences."""

    @property
    def config(self) -> foo.OperatorConfig:
        """What FiftyOne shows of it."""
        return foo.OperatorConfig(
            name="propagate_masks",
            label="SAM 2: propagate masks",
            description="Track labelled objects through videos and image sequences",
            icon="timeline",
            **LONG_WORK,
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
            forms.add_notices(form, check_propagation(view, read_request(ctx), *_grouping(ctx)))
        except Sam2PluginsError as error:
            forms.add_problem(form, error)
        forms.add_prompt_fields(form, ctx, view)
        forms.add_grouping(form, view)
        forms.add_output_field(form)
        forms.add_range(form)
        forms.add_model(form)
        forms.add_advanced(form)
        return types.Property(form, view=types.View(label="Propagate masks with SAM 2"))

    def execute(self, ctx: Any) -> Any:
        """Do it: step by step for the App, to the end if delegated."""
        request, view = read_request(ctx), ctx.target_view()
        check_propagation(view, request, *_grouping(ctx))
        return work(ctx, run(find_footage(view, *_grouping(ctx)), request, _where(ctx)))

    def resolve_output(self, ctx: Any) -> types.Property:
        """Show what came of a delegated run."""
        return forms.report_form()


def read_request(ctx: Any) -> Request:
    """Read what was filled in; what was not has its default."""
    said = ctx.params
    numbers = forms.read_frame_numbers(said.get("prompt_frames"))
    (output_field,) = field_names(said.get("output_field") or OUTPUT_FIELD)
    return Request(
        field_names(said.get("prompt_fields") or ()),
        output_field,
        direction=said.get("direction") or "forward",
        first=said.get("first"),
        last=said.get("last"),
        prompt_frames=numbers,
        label_ids=forms.chosen_labels(ctx),
        model=said.get("model") or "nano",
        device=said.get("device") or "auto",
        image_size=said.get("image_size"),
        tile=said.get("tile") or "auto",
        memory=said.get("memory") or "sam2",
        masks_folder=Path(folder).expanduser() if (folder := said.get("masks_folder")) else None,
    )


def _where(ctx: Any) -> Where:
    return Where(ctx.params.get("workers") or 1, ctx.params.get("dask") or None)


def _grouping(ctx: Any) -> tuple[str | None, str | None]:
    return ctx.params.get("group_by"), ctx.params.get("order_by")
