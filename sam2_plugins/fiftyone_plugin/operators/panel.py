"""The panel beside a sample: scores of its masks by frame, and the frames to look at."""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.fiftyone_plugin.checks import label_schema
from sam2_plugins.fiftyone_plugin.curves import CONFIDENCE, Curve, doubtful, read_curves
from sam2_plugins.fiftyone_plugin.finding import find_movie
from sam2_plugins.fiftyone_plugin.footage import Footage, FootageError
from sam2_plugins.fiftyone_plugin.marks import DOUBT, MARK
from sam2_plugins.fiftyone_plugin.preview import as_link, frame_picture
from sam2_plugins.fiftyone_plugin.runs import STORE, at_work, ended, stop_runs

_HELP = (
    "A point is a mask: how good the model believes it to be, how doubtful it is by several signs "
    "together, or, after evaluate_masklets, how good it is. Click on one to see its frame here, "
    "with the masks."
)
_TICK = 1000
"""Milliseconds between two updates about the current run."""


class Masklets(foo.Panel):
    """Plots the scores of the sample that is open, and shows the run at work."""

    @property
    def config(self) -> foo.PanelConfig:
        """What FiftyOne shows of it."""
        return foo.PanelConfig(
            name="masklets",
            label="SAM 2: masklets",
            icon="show_chart",
            surfaces="grid modal",
            help_markdown=_HELP,
        )

    def on_load(self, ctx: Any) -> None:
        """Read the scores of the sample at hand."""
        problem, title, curves = "", "", []
        try:
            footage = _movie(ctx)
            title = footage.name
            fields = _fields(footage)
            ctx.panel.state.fields = fields
            shown = ctx.panel.state.field if ctx.panel.state.field in fields else fields[0]
            scores = _scores(footage, shown)
            score = ctx.panel.state.score if ctx.panel.state.score in scores else scores[-1]
            ctx.panel.state.field, ctx.panel.state.score = shown, score
            ctx.panel.state.scores = scores
            curves = read_curves(footage, shown, score)
        except Sam2PluginsError as error:
            problem = str(error)
        ctx.panel.state.problem, ctx.panel.state.title = problem, title
        ctx.panel.data.plot = [_trace(curve) for curve in curves]
        ctx.panel.state.doubts = [[one.frame, str(one)] for one in doubtful(curves)]
        ctx.panel.state.runs = at_work(ctx.store(STORE))
        ctx.panel.state.frame = None

    def tick(self, ctx: Any) -> None:
        """Show the progress of the current runs, and their reports when all have ended."""
        ctx.panel.state.runs = at_work(ctx.store(STORE))
        if ctx.panel.state.runs:
            return
        self.on_load(ctx)
        ctx.ops.reload_dataset()
        ctx.panel.state.ended = ended(ctx.store(STORE))
        for run in ctx.panel.state.ended:
            good = not run["problems"]
            ctx.ops.notify(f"SAM 2: {run['text']}", variant="success" if good else "warning")

    on_change_current_sample = on_change_dataset = on_load

    def choose_field(self, ctx: Any) -> None:
        """Show another field of masks."""
        ctx.panel.state.field = ctx.params["value"]
        self.on_load(ctx)

    def choose_score(self, ctx: Any) -> None:
        """Show another score."""
        ctx.panel.state.score = ctx.params["value"]
        self.on_load(ctx)

    def go_to_point(self, ctx: Any) -> None:
        """Show the frame of a point of the plot."""
        self._show(ctx, int(ctx.params["x"]))

    def go_to_doubt(self, ctx: Any) -> None:
        """Show a doubtful frame."""
        self._show(ctx, int(ctx.params["frame"]))

    def _show(self, ctx: Any, number: int) -> None:
        """Show a frame here, and in the player: not all of FiftyOne's follow."""
        ctx.trigger("set_frame_number", {"frame_number": number})
        try:
            picture = frame_picture(_movie(ctx), ctx.panel.state.field, number)
        except Sam2PluginsError as error:
            ctx.ops.notify(str(error), variant="error")
            return
        ctx.panel.state.frame, ctx.panel.state.shape = number, picture.height / picture.width
        ctx.panel.data.picture = [{"type": "image", "source": as_link(picture)}]

    def stop(self, ctx: Any) -> None:
        """Stop the current runs."""
        stop_runs(ctx)

    def render(self, ctx: Any) -> types.Property:
        """Return the layout."""
        panel = types.Object()
        state = ctx.panel.state
        self._add_runs(panel, state.runs, state.ended)
        if state.title:
            panel.md(f"**{state.title}**", name="title")
        if state.problem:
            panel.md(state.problem, name="problem_text")
            return types.Property(panel)
        for name, values, on_change in (
            ("field", state.fields, self.choose_field),
            ("score", state.scores, self.choose_score),
        ):
            choices = types.DropdownView(space=4)
            for value in values or ():
                choices.add_choice(value, label=value)
            panel.str(name, label=name.capitalize(), view=choices, on_change=on_change)
        panel.btn("refresh", label="Read again", on_click=self.on_load, space=4)
        panel.plot(
            "plot",
            layout={
                "xaxis": {"title": {"text": "frame"}},
                "yaxis": {"title": {"text": state.score or ""}, "range": [0, 1.05]},
                "height": 320,
                "margin": {"t": 20, "r": 20},
                "showlegend": True,
                "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.3},
            },
            config={"displayModeBar": False},
            on_click=self.go_to_point,
        )
        if state.frame:
            self._add_picture(panel, state.frame, state.shape)
        if state.doubts:
            panel.md("**Look at these first**", name="doubts_title")
            buttons = panel.v_stack("doubts", gap=1)
            for number, (frame, text) in enumerate(state.doubts):
                buttons.btn(
                    f"doubt_{number}",
                    label=text,
                    on_click=self.go_to_doubt,
                    params={"frame": frame},
                )
        else:
            panel.md("No mask is doubtful.", name="no_doubts")
        return types.Property(panel)

    def _add_picture(self, panel: types.Object, number: int, shape: float) -> None:
        bare = {"visible": False, "fixedrange": True}
        panel.plot(
            "picture",
            layout={
                "title": {"text": f"Frame {number}"},
                "xaxis": bare,
                "yaxis": {**bare, "autorange": "reversed", "scaleanchor": "x"},
                "height": round(min(520, 60 + 460 * shape)),
                "margin": {"t": 40, "b": 10, "l": 10, "r": 10},
            },
            config={"displayModeBar": False},
        )

    def _add_runs(
        self,
        panel: types.Object,
        runs: list[dict[str, Any]] | None,
        ended: list[dict[str, Any]] | None,
    ) -> None:
        if runs:
            lines = [f"At work, {run['share']:.0%}: {run['text']}" for run in runs]
            panel.md("\n\n".join(lines), name="run_text")
            panel.btn("stop", label="Stop", on_click=self.stop)
            timer = types.View(name="TimerView", interval=_TICK, on_interval=self.tick)
            panel.view("timer", timer)
        elif ended:
            texts = (["The last run: " + run["text"], *run["problems"]] for run in ended)
            panel.md("\n\n".join(map("\n- ".join, texts)), name="ended_text")


def _movie(ctx: Any) -> Footage:
    """The movie of the sample that is open; in the grid, the selected or the first one."""
    sample_id = ctx.current_sample or next(iter(ctx.selected), None)
    if sample_id is None:
        # By its id alone: FiftyOne 1.22 cannot load samples of flat dynamic groups.
        sample_id = next(iter(ctx.view.limit(1).values("id")), None)
        if sample_id is None:
            raise FootageError("Open a sample, to see how sure its masks are.")
    return find_movie(ctx.view, sample_id)


def _fields(footage: Footage) -> list[str]:
    schema = footage.fields.schema()
    fields = [name for name, field in schema.items() if MARK in label_schema(field)]
    if not fields:
        raise FootageError("There are no masks of SAM 2 here yet. Run propagate_masks.")
    return fields


def _scores(footage: Footage, name: str) -> list[str]:
    """Names of the scores that can be plotted: confidence, doubt, and those of an evaluation."""
    parts = [*label_schema(footage.fields.schema()[name])]
    measured = (part for part in parts if part.endswith("_iou"))
    return [*([DOUBT] if DOUBT in parts else []), CONFIDENCE, *measured]


def _trace(curve: Curve) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": curve.name,
        "x": curve.frames,
        "y": curve.values,
    }
