"""What all commands share: errors become a message and an exit code."""

from __future__ import annotations

import os
from typing import Any

import typer
from typer.core import TyperGroup

from sam2_plugins.core.errors import Sam2PluginsError

FAILED, INTERRUPTED = 1, 130


class Commands(TyperGroup):
    """Runs a command; no one but a programmer sees a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        # Before torch loads OpenMP: its waiting threads would spin, and on a machine that is busy
        # with something else every frame takes twenty times as long.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        try:
            return super().invoke(ctx)
        except Sam2PluginsError as error:
            typer.secho(f"Error: {error}", fg="red", err=True)
            raise typer.Exit(FAILED) from error
        except KeyboardInterrupt as stop:
            typer.echo("Stopped.", err=True)
            raise typer.Exit(INTERRUPTED) from stop
