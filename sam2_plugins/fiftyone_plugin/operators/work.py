"""Long work in FiftyOne: the App goes on while it is done, and the panel shows how far it is."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Protocol

import fiftyone.operators as foo
from fiftyone.operators.operator import ExecutionOptions

from sam2_plugins.fiftyone_plugin.operators import forms
from sam2_plugins.fiftyone_plugin.request import Progress
from sam2_plugins.fiftyone_plugin.runs import STORE, Run

PANEL = "masklets"


class Outcomes(Protocol):
    """Collects what came of each movie."""

    def add(self, event: Any) -> None:
        """Take the report of a movie."""

    def stopped(self, at: Progress) -> None:
        """Take note that a person stopped it there."""

    def report(self) -> forms.Outcome:
        """Return the report of all that came."""


class LongOperator(foo.Operator):
    """An operator that yields progress and reports, and may be stopped, scheduled, or called."""

    OPTIONS = {  # noqa: RUF012 - not of the instance, and never changed
        "dynamic": True,
        "execute_as_generator": True,
        "allow_immediate_execution": True,
        "allow_delegated_execution": True,
        "default_choice_to_delegated": False,
    }

    def __call__(self, samples: Any, **params: Any) -> Any:
        """Run it from Python; the arguments are those that its form asks for.

        Returns
        -------
        ExecutionResult
            Its `result` holds the report.
        """
        return foo.execute_operator(self.uri, {"view": samples, "params": params})

    def resolve_execution_options(self, ctx: Any) -> ExecutionOptions:
        """Let FiftyOne's open-source App schedule it, too; `fiftyone delegated launch` runs it."""
        return _Options(allow_immediate_execution=True, allow_delegated_execution=True)

    def resolve_output(self, ctx: Any) -> Any:
        """Show what came of it."""
        return forms.report_form()


class _Options(ExecutionOptions):
    """Options of an operator that anyone may schedule: orchestrators are FiftyOne Enterprise's."""

    @property
    def orchestrator_registration_enabled(self) -> bool:
        return False


def work(ctx: Any, events: Generator[Any, None, None], outcomes: Outcomes) -> Any:
    """Do it: messages for the App, one by one; else all of it, and the report as plain values."""
    messages = _messages(ctx, events, outcomes)
    if ctx.delegated or _from_python(ctx):
        for _ in messages:
            pass
        return forms.report_values(outcomes.report())
    return messages


def _from_python(ctx: Any) -> bool:
    """Whether `execute_operator` was called: a request of the App names the operator."""
    return ctx.operator_uri is not None and "operator_uri" not in ctx.request_params


def _messages(ctx: Any, events: Generator[Any, None, None], outcomes: Outcomes) -> Iterator[Any]:
    run = Run(ctx.store(STORE))
    in_app = not ctx.delegated and not _from_python(ctx)
    try:
        if in_app and ctx.current_sample is None:
            yield ctx.ops.close_panel(PANEL)  # so that it looks for the run at work
            yield ctx.ops.open_panel(PANEL, layout="horizontal")
        for event in events:
            if not isinstance(event, Progress):
                outcomes.add(event)
            elif run.due():
                run.tell(event)
                if ctx.delegated:
                    ctx.set_progress(progress=event.share, label=str(event))
                elif in_app:  # so that the run ends with the page
                    yield ctx.ops.console_log(f"SAM 2: {event}")
                if run.stop_asked():
                    outcomes.stopped(event)
                    break
    finally:  # also when the App's page is closed
        events.close()  # writes what waits
        run.end(str(outcomes.report()))
    if not ctx.delegated:
        yield from forms.show_report(ctx, outcomes.report())
