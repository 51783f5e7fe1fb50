"""The command line: the script `sam2-plugins`, and `python -m sam2_plugins` without its path."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is imported stops it, too."""
    # What is closed is opened to nothing: else the first files that are opened take its place, and
    # what a library prints there goes into them.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    try:
        from sam2_plugins.cli import app
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)
    app(prog_name="sam2-plugins")


if __name__ == "__main__":
    main()
