from __future__ import annotations

import inspect
from typing import Annotated, Optional

import typer

from sam2_plugins.cli.groups import grouped

NAMED = Annotated[str | None, typer.Option("--called", help="By this name.")]


def test_an_option_is_as_it_was_annotated_where_python_3_10_takes_it_for_optional() -> None:
    def command(name: NAMED = None) -> None:
        """Do nothing."""

    command.__annotations__["name"] = Optional[NAMED]  # noqa: UP045  as 3.10 reads it
    assert inspect.signature(grouped(command)).parameters["name"].annotation == NAMED
