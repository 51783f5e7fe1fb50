"""What all commands share: every error ends in a sentence and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Any

import typer
from typer.core import TyperGroup

from sam2_plugins.core.errors import Sam2PluginsError, is_foreseen, message_of
from sam2_plugins.core.operating_system import handling

FAILED, INTERRUPTED = 1, 130


class Commands(TyperGroup):
    """Runs a command; tracebacks go to a file."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the command line and run the command."""
        write_in_any_encoding()
        try:
            return super().main(*args, **kwargs)
        except Exception as error:
            _explain(error)
            sys.exit(FAILED)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line. ~ is home in `--out=~/results` too, which no shell expands."""
        return super().parse_args(ctx, [_at_home(word) for word in args])

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        # Before torch loads OpenMP: its waiting threads would spin, and on a machine that is busy
        # with something else every frame takes twenty times as long.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        try:
            # Whatever ends a command, it can clean up.
            with handling(signal.default_int_handler), warnings.catch_warnings():
                if not sys.warnoptions:  # those of libraries are for programmers
                    warnings.simplefilter("ignore")
                return super().invoke(ctx)
        except Sam2PluginsError as error:
            _explain(error)
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt as stop:
            typer.echo("Stopped.", err=True)
            raise typer.Exit(INTERRUPTED) from stop


def _at_home(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return option + equals + (os.path.expanduser(value) if value.startswith("~") else value)


def write_in_any_encoding() -> None:
    """Replace characters that a terminal cannot show, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _explain(error: Exception) -> None:
    """Explain an error in a sentence; an unexpected one also gets a file with the details."""
    if is_foreseen(error):
        typer.secho(f"Error: {message_of(error)}", fg="red", err=True)
        return
    from sam2_plugins.cli.crash_log import write_crash_log

    log = write_crash_log(error)
    typer.secho(
        f"Error: an unexpected error occurred ({message_of(error)}). What was written "
        "until then is kept.",
        fg="red",
        err=True,
    )
    if log is not None:
        typer.echo(f"Please send this file to the developers: {log}", err=True)
