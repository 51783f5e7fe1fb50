"""Groups of options, each a dataclass: a command takes one as one argument."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints


def grouped(command: Callable[..., Any]) -> Callable[..., Any]:
    """Let a command take dataclasses, each field of which is an option of the command line.

    A field is annotated as an argument of a command is. The group's `panel`, if it has one, is the
    heading of its options in the help.
    """
    hints = _hints_of(command)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name in groups:
            parameters += _options_of(groups[parameter.name])
        else:
            kind = inspect.Parameter.KEYWORD_ONLY
            parameters.append(parameter.replace(annotation=hints[parameter.name], kind=kind))

    @functools.wraps(command)
    def flat(**given: Any) -> Any:
        made = {
            name: kind(**{one.name: given.pop(one.name) for one in fields(kind)})
            for name, kind in groups.items()
        }
        return command(**given, **made)

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {one.name: one.annotation for one in parameters}
    return flat


def _hints_of(command: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of a command, as they were written.

    Python 3.10 puts an Optional around what is None by default, which hides what was annotated.
    """
    found = get_type_hints(command, include_extras=True)
    for name, hint in found.items():
        if get_origin(hint) in (Union, UnionType):
            written = [kind for kind in get_args(hint) if get_origin(kind) is Annotated]
            found[name] = written[0] if written else hint
    return found


def _options_of(group: Any) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    for one in fields(group):
        yield inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
            annotation=_under(getattr(group, "panel", None), hints[one.name]),
        )


def _under(panel: str | None, hint: Any) -> Any:
    """Put an option under a heading, unless it has one of its own."""
    if panel is None or get_origin(hint) is not Annotated:
        return hint
    kind, option = get_args(hint)
    if not option.rich_help_panel:
        option = copy(option)
        option.rich_help_panel = panel
    return Annotated[kind, option]
