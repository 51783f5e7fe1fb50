"""`segment_images`: masks of single images, from labels or of everything."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.fiftyone_plugin.operators import forms
from sam2_plugins.fiftyone_plugin.operators.propagate import read_request
from sam2_plugins.fiftyone_plugin.operators.work import LongOperator, work
from sam2_plugins.fiftyone_plugin.request import MovieReport, Report
from sam2_plugins.fiftyone_plugin.segmentation import Everything, check_segmentation, run


class SegmentImages(LongOperator):
    """Segments single images."""

    @property
    def config(self) -> foo.OperatorConfig:
        """What FiftyOne shows of it."""
        return foo.OperatorConfig(
            name="segment_images",
            label="SAM 2: segment images",
            description="Masks from boxes, points or outlines, or of everything in the image",
            icon="auto_fix_high",
            **self.OPTIONS,
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        """Build the form, with what is wrong so far."""
        form = types.Object()
        view = ctx.target_view()
        try:
            forms.add_notices(form, check_segmentation(view, read_request(ctx), _everything(ctx)))
        except Sam2PluginsError as error:
            forms.add_problem(form, error)
        form.bool("everything", default=False, label="Everything in the image, without prompts")
        if _everything(ctx) is None:
            forms.add_prompt_fields(form, ctx, view)
        else:
            forms.add_everything(form)
        forms.add_output_field(form)
        forms.add_model(form)
        forms.add_machine(form, ctx)
        return types.Property(form, view=types.View(label="Segment images with SAM 2"))

    def execute(self, ctx: Any) -> Any:
        """Do it: step by step for the App, to the end if delegated."""
        request, view = read_request(ctx), ctx.target_view()
        check_segmentation(view, request, _everything(ctx))
        return work(ctx, run(view, request, _everything(ctx)), Report.of, MovieReport.stopped)


def _everything(ctx: Any) -> Everything | None:
    if not ctx.params.get("everything"):
        return None
    chosen = {one.name: ctx.params.get(one.name) for one in fields(Everything)}
    return Everything(**{name: value for name, value in chosen.items() if value is not None})
