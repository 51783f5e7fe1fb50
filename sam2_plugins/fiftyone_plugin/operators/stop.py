"""`stop_propagation`: end what is at work on a dataset, here or in another process."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo

from sam2_plugins.fiftyone_plugin.runs import STORE, request_stop


class StopPropagation(foo.Operator):
    """Asks every run on the dataset to end after the frame at hand."""

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
        """Leave word for the runs."""
        request_stop(ctx.store(STORE))
        ctx.ops.notify("SAM 2 stops after the frame at hand. What was done is kept.")
