"""The command line: the script `sam2-plugins`, and `python -m sam2_plugins` without its path."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is imported stops it, too."""
    try:
        from sam2_plugins.cli import app
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(130)
    app(prog_name="sam2-plugins")


if __name__ == "__main__":
    main()
