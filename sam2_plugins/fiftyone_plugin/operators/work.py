"""Long work in FiftyOne: live progress in the App, stored progress where it is delegated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sam2_plugins.fiftyone_plugin.operators import forms
from sam2_plugins.fiftyone_plugin.propagation import Events
from sam2_plugins.fiftyone_plugin.request import MovieReport, Report
from sam2_plugins.fiftyone_plugin.runs import STORE, Run

LONG_WORK = {
    "dynamic": True,
    "execute_as_generator": True,
    "allow_immediate_execution": True,
    "allow_delegated_execution": True,
    "default_choice_to_delegated": False,
}
"""How an operator that uses `work` is configured: its form is checked, and it may be delegated."""


def work(ctx: Any, events: Events) -> Any:
    """Do it: a generator of messages to the App; to the end, and its report, if delegated."""
    messages = _messages(ctx, events)
    if not ctx.delegated:
        return messages
    *_, report = messages
    return forms.report_values(report)


def _messages(ctx: Any, events: Events) -> Iterator[Any]:
    here = Run(ctx.store(STORE))
    movies: list[MovieReport] = []
    try:
        for event in events:
            if isinstance(event, MovieReport):
                movies.append(event)
            elif here.due():
                here.tell(event)
                if ctx.delegated:
                    ctx.set_progress(progress=event.share, label=str(event))
                else:
                    yield ctx.ops.set_progress(label=str(event), progress=event.share)
                if here.stop_asked():
                    movies.append(MovieReport(event.name, "", "stopped", frames=event.done))
                    break
    finally:  # also when the App's page is closed
        events.close()  # writes what waits
        report = Report.of(movies)
        here.end(str(report))
    if ctx.delegated:
        yield report
    else:
        yield from forms.show_report(ctx, report)
