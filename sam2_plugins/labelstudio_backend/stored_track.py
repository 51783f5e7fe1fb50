"""One object's track on disk."""

from __future__ import annotations

import logging
from pathlib import Path

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.masks.journal import read_journal
from sam2_plugins.core.tracking.run import TrackJournal
from sam2_plugins.core.tracking.tracker import VideoTracker

log = logging.getLogger(__name__)


class StoredTrack(TrackJournal):
    """An object's masks on disk, and its memories for as long as the track is not whole.

    The object has the file's name, so that its masks are found whatever a region is called.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, {path.stem})

    def restore(self, tracker: VideoTracker) -> None:
        """Take an earlier run's masks; a damaged file is deleted, and made again."""
        try:
            if self.memory_path.exists():
                super().restore(tracker)
            else:  # a whole track: there is nothing to go on with
                kept = read_journal(self.path)
                masklets = [kept.masklet(obj) for obj in kept.objects if obj in tracker.objects]
                tracker.restore(masklets)
                self._known = {(m.obj, frame) for m in masklets for frame in m.masks}
        except ExportError as error:
            log.warning("%s It is made again.", error)
            self.delete()

    def is_whole(self) -> None:
        """Forget the memories: the track has come to its ends."""
        self.memory_path.unlink(missing_ok=True)
