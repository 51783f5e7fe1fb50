"""What can go wrong between Label Studio and the core; each text is for the annotator."""

from sam2_plugins.core.errors import Sam2PluginsError


class LabelStudioError(Sam2PluginsError):
    """Base of the errors of this adapter."""


class FormatError(LabelStudioError):
    """A region, a labelling config or a request that is not what Label Studio writes."""


class NothingToDo(LabelStudioError):
    """A task without a prompt, or a labelling config without a place for a result."""


class MediaError(LabelStudioError):
    """A video or image of a task that cannot be had."""


class StillFetchingError(MediaError):
    """A file of a task that is on its way."""


class ServerError(LabelStudioError):
    """Label Studio itself does not answer, or refuses."""


class AwayError(ServerError):
    """Label Studio does not answer: it is being restarted, or the network is down."""


class NotThereError(ServerError):
    """What was requested is not in Label Studio any more."""
