"""`segment_images`: masks of single images, from labels or of everything."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from fiftyone.operators import types

from sam2_plugins.fiftyone_plugin.operators import forms
from sam2_plugins.fiftyone_plugin.operators.work import LongOperator, work
from sam2_plugins.fiftyone_plugin.request import MovieReport, Report
from sam2_plugins.fiftyone_plugin.segmentation import Everything, check_segmentation, run


class SegmentImages(LongOperator):
    """Segments single images."""

    NAME, LABEL, ICON = "segment_images", "SAM 2: segment images", "auto_fix_high"
    DESCRIPTION = "Masks from boxes, points or outlines, or of everything in the image"
    TITLE = "Segment images with SAM 2"

    def check(self, ctx: Any) -> list[str]:
        """Check the request."""
        return check_segmentation(ctx.target_view(), forms.read_request(ctx), _everything(ctx))

    def fill(self, form: types.Object, ctx: Any) -> None:
        """Add the prompts, unless everything is wanted."""
        form.bool("everything", default=False, label="Everything in the image, without prompts")
        if _everything(ctx) is None:
            forms.add_prompt_fields(form, ctx, ctx.target_view())
        else:
            forms.add_everything(form)
        forms.add_output_field(form)
        forms.add_model(form)
        forms.add_machine(form, ctx)

    def execute(self, ctx: Any) -> Any:
        """Run it: in the background of the App, or to the end if delegated."""
        self.check(ctx)
        events = run(ctx.target_view(), forms.read_request(ctx), _everything(ctx))
        return work(ctx, events, Report.of, MovieReport.stopped)


def _everything(ctx: Any) -> Everything | None:
    if not ctx.params.get("everything"):
        return None
    chosen = {one.name: ctx.params.get(one.name) for one in fields(Everything)}
    return Everything(**{name: value for name, value in chosen.items() if value is not None})
