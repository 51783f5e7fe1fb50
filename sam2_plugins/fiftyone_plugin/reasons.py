"""Why something failed, in a sentence for a person."""

from __future__ import annotations

import logging

from sam2_plugins.core.errors import Sam2PluginsError, message_of

_LOG = logging.getLogger(__name__)


def reason(error: Exception) -> str:
    """Explain an error; one that nobody foresaw is in the log, whole."""
    message = message_of(error)
    if isinstance(error, Sam2PluginsError) or not message.startswith(type(error).__name__):
        return message
    _LOG.error("Unforeseen error", exc_info=error)
    return (
        "An error that nobody foresaw ended it. It is in the log of FiftyOne's process; please "
        "report it."
    )
