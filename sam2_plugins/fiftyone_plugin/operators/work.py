"""Long operations in FiftyOne: what the operators share, from the form to the report.

The App stays usable meanwhile, and the panel shows the progress.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from threading import Thread
from typing import Any, TypeVar

import fiftyone.operators as foo
from fiftyone.operators import types
from fiftyone.operators.executor import ExecutionOptions

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.fiftyone_plugin.operators import forms
from sam2_plugins.fiftyone_plugin.request import Progress, reason
from sam2_plugins.fiftyone_plugin.runs import STORE, Run

PANEL = "masklets"

Movie = TypeVar("Movie")
"""The result of a movie: a report, or scores."""


class LongOperator(foo.Operator):
    """An operator that yields progress and reports, and may be stopped, scheduled, or called.

    Attributes
    ----------
    NAME, LABEL, DESCRIPTION, ICON, TITLE
        What FiftyOne shows of it; the title is that of its form.
    """

    NAME, LABEL, DESCRIPTION, ICON, TITLE = "", "", "", "", ""

    @property
    def config(self) -> foo.OperatorConfig:
        """What FiftyOne shows of it."""
        return foo.OperatorConfig(
            name=self.NAME,
            label=self.LABEL,
            description=self.DESCRIPTION,
            icon=self.ICON,
            dynamic=True,
            execute_as_generator=True,
            allow_immediate_execution=True,
            allow_delegated_execution=True,
            default_choice_to_delegated=False,
        )

    def check(self, ctx: Any) -> Sequence[str]:
        """Return notices on what is filled in; raise `Sam2PluginsError` if it cannot work."""
        raise NotImplementedError

    def fill(self, form: types.Object, ctx: Any) -> None:
        """Add the fields of the form."""
        raise NotImplementedError

    def resolve_input(self, ctx: Any) -> types.Property:
        """Build the form, with what is wrong so far."""
        form = types.Object()
        try:
            forms.add_notices(form, self.check(ctx))
        except Sam2PluginsError as error:
            forms.add_problem(form, error)
        self.fill(form, ctx)
        return types.Property(form, view=types.View(label=self.TITLE))

    def __call__(self, samples: Any, **params: Any) -> Any:
        """Run it from Python; the arguments are those of its form.

        Returns
        -------
        ExecutionResult
            Its `result` holds the report.
        """
        return foo.execute_operator(self.uri, {"view": samples.view(), "params": params})

    def resolve_execution_options(self, ctx: Any) -> ExecutionOptions:
        """Allow scheduling in the open-source App, too; `fiftyone delegated launch` runs it."""
        return _Options(allow_immediate_execution=True, allow_delegated_execution=True)

    def resolve_output(self, ctx: Any) -> Any:
        """Show the report."""
        return forms.report_form()


class _Options(ExecutionOptions):
    """Options that allow scheduling without an orchestrator of FiftyOne Enterprise."""

    @property
    def orchestrator_registration_enabled(self) -> bool:
        return False


def work(
    ctx: Any,
    events: Generator[Progress | Movie, None, None],
    gather: Callable[[list[Movie]], forms.Outcome],
    stopped: Callable[[Progress], Movie] | None = None,
) -> Any:
    """Run the operation.

    From the App, it runs in the background, even when the page is closed; the panel shows the
    progress. Otherwise it runs to its end, and returns its report as plain values.

    Parameters
    ----------
    gather
        Makes a report of the results of all movies.
    stopped
        Makes the result of the movie at which it was stopped; None: that movie has none.
    """
    movies: list[Movie] = []
    steps = _steps(Run(ctx.store(STORE)), events, movies, gather, stopped)
    if "operator_uri" in ctx.request_params and not ctx.delegated:
        return _begin(ctx, steps)
    if ctx.operator_uri is None:  # a caller that runs it step by step
        return _messages(ctx, steps, lambda: gather(movies))
    for progress in steps:
        if ctx.delegated:
            ctx.set_progress(progress=progress.share, label=str(progress))
    if not ctx.delegated:
        for _ in forms.show_report(ctx, gather(movies)):
            pass
    return forms.report_values(gather(movies))


def _begin(ctx: Any, steps: Iterator[Progress]) -> Iterator[Any]:
    """Run in the background: FiftyOne covers its page while an operator is executed."""
    Thread(target=deque, args=(steps, 0), name="sam2-plugins", daemon=True).start()
    if ctx.current_sample is None:
        yield ctx.ops.close_panel(PANEL)  # an open panel would not notice the run
        yield ctx.ops.open_panel(PANEL, layout="horizontal")
    else:
        yield ctx.ops.notify("SAM 2 is at work; its panel beside the samples shows how far it is.")


def _messages(
    ctx: Any, steps: Iterator[Progress], report: Callable[[], forms.Outcome]
) -> Iterator[Any]:
    for progress in steps:
        yield ctx.ops.set_progress(label=str(progress), progress=progress.share)
    yield from forms.show_report(ctx, report())


def _steps(
    run: Run,
    events: Generator[Progress | Movie, None, None],
    movies: list[Movie],
    gather: Callable[[list[Movie]], forms.Outcome],
    stopped: Callable[[Progress], Movie] | None,
) -> Iterator[Progress]:
    """Run until a person stops it; yield progress now and then, and fill the list of movies."""
    problem = ""
    try:
        for event in events:
            if not isinstance(event, Progress):
                movies.append(event)
            elif run.due():
                run.show(event)
                yield event
                if run.is_to_stop():
                    movies += [stopped(event)] if stopped else []
                    break
    except Exception as error:
        problem = reason(error)
        raise
    finally:
        events.close()  # writes the masks that are still buffered
        report = gather(movies)
        run.end(problem or str(report), report.problems)
