"""A file with the details of an unexpected error, for the developers."""

from __future__ import annotations

import platform
import sys
import tempfile
import time
import traceback
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from platformdirs import user_log_path

from sam2_plugins import __version__

_PACKAGES = ("torch", "numpy", "av", "tifffile", "pillow", "napari", "fiftyone")
_SECRETS = ("--api-key",)


def write_crash_log(error: BaseException) -> Path | None:
    """Write a file about an error, and return its path; None if there is no place for it."""
    facts = [
        f"sam2_plugins {__version__}, Python {platform.python_version()}, {platform.platform()}",
        ", ".join(f"{name} {found}" for name in _PACKAGES if (found := _version(name))),
        f"Command: {' '.join(_without_secrets(sys.argv))}",
    ]
    text = "\n".join([*facts, "", *traceback.format_exception(error)])
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{type(error).__name__}.txt"
    for folder in (user_log_path("sam2_plugins", appauthor=False), Path(tempfile.gettempdir())):
        path = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return path
    return None


def _without_secrets(words: list[str]) -> list[str]:
    """Hide the values of secret options."""
    shown, hide = [], False
    for word in words:
        name, equals, _ = word.partition("=")
        shown.append("***" if hide else f"{name}=***" if equals and name in _SECRETS else word)
        hide = word in _SECRETS
    return shown


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
