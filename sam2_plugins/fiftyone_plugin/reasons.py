"""Why something failed, in a sentence for a person."""

from __future__ import annotations

import logging

from sam2_plugins.core.errors import Sam2PluginsError

_LOG = logging.getLogger(__name__)


def reason(error: Exception) -> str:
    """Explain an error; one that nobody foresaw is in the log, whole."""
    if isinstance(error, Sam2PluginsError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename}" if error.filename else ""
        return f"{error.strerror}:{where}." if where else f"{error.strerror}."
    _LOG.error("Unforeseen error", exc_info=error)
    return (
        "An error that nobody foresaw ended it. It is in the log of FiftyOne's process; please "
        "report it."
    )
