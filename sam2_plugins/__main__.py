"""`python -m sam2_plugins`: the command line, where its script is not on the path."""

from __future__ import annotations

from sam2_plugins.cli import app

app(prog_name="sam2-plugins")
