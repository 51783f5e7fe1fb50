"""`evaluate_masklets`: scores against the ground truth, in fields to sort and filter by."""

from __future__ import annotations

from typing import Any

from fiftyone.operators import types

from sam2_plugins.core.datasets.dataset import Absent
from sam2_plugins.fiftyone_plugin.evaluation import (
    EVAL_KEY,
    EvaluationReport,
    check_evaluation,
    run,
)
from sam2_plugins.fiftyone_plugin.operators import forms
from sam2_plugins.fiftyone_plugin.operators.work import LongOperator, work
from sam2_plugins.fiftyone_plugin.request import OUTPUT_FIELD, field_names


class EvaluateMasklets(LongOperator):
    """Compares masks with the truth, by frame, by track and by movie."""

    NAME, LABEL, ICON = "evaluate_masklets", "SAM 2: evaluate masklets", "grading"
    DESCRIPTION = "Compare masks with the truth: IoU by frame, J and F by track and movie"
    TITLE = "Evaluate masklets"

    def check(self, ctx: Any) -> tuple[str, ...]:
        """Check the fields."""
        check_evaluation(ctx.target_view(), *_read(ctx))
        return ()

    def fill(self, form: types.Object, ctx: Any) -> None:
        """Add the fields, and the name of the scores."""
        view = ctx.target_view()
        forms.add_field(form, view, "pred_field", "Masks", OUTPUT_FIELD)
        forms.add_field(form, view, "gt_field", "Truth", None)
        form.str(
            "eval_key",
            default=EVAL_KEY,
            label="Name of the scores",
            description="They go to the fields <name>_iou, <name>_J and <name>_F",
        )
        form.bool(
            "ignore_absent",
            default=False,
            label="Leave out frames without the true object",
            description="As for cells, which end by dividing; else a mask there counts 0",
        )
        forms.add_grouping(form, view)

    def execute(self, ctx: Any) -> Any:
        """Run it: in the background of the App, or to the end if delegated."""
        pred_field, gt_field, eval_key, *grouping = _read(ctx)
        movies = check_evaluation(ctx.target_view(), pred_field, gt_field, eval_key, *grouping)
        absent: Absent = "ignore" if ctx.params.get("ignore_absent") else "davis"
        events = run(movies, pred_field, gt_field, eval_key, absent)
        return work(ctx, events, lambda movies: EvaluationReport(tuple(movies)))


def _read(ctx: Any) -> tuple[str, str, str, str | None, str | None]:
    given = ctx.params
    (pred_field,) = field_names(given.get("pred_field") or OUTPUT_FIELD)
    (gt_field,) = field_names(given.get("gt_field") or "")
    key = given.get("eval_key") or EVAL_KEY
    return pred_field, gt_field, key, given.get("group_by"), given.get("order_by")
