"""Journals on the disk, by which an interrupted run goes on exactly where it stopped.

The database holds the masks that people see. Memory banks, and masks of frames that a view does
not show, are in a journal on this machine; on another one, memories are made again from the masks
in the database.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from sam2_plugins.core.checkpoints import cache_dir
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.files import digest_of, require_writable, signature
from sam2_plugins.core.masks import Masklet, MaskTable, ObjectId
from sam2_plugins.core.masks.journal import read_journal
from sam2_plugins.core.tracking.memory.memory_file import load_memory
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.run import Journal, TrackJournal, make_room
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.fiftyone_plugin.footage import Footage
from sam2_plugins.fiftyone_plugin.request import Request

ROOM = 4 << 30
"""Bytes of the journals of unfinished movies; beyond them, the oldest are deleted."""

log = logging.getLogger(__name__)


def journal_path(footage: Footage, request: Request, options: TrackingOptions) -> Path:
    """Where a movie's journal is; those of other requests for the same results are deleted.

    Parameters
    ----------
    options
        With the range of this movie.
    """
    about = [options.identity(), request.all_objects, signature(*map(Path, footage.files))]
    how = json.dumps(about, sort_keys=True, default=str)
    folder = cache_dir() / "fiftyone" / str(footage.dataset._root_dataset._doc.id)
    require_writable(folder, "SAM2_PLUGINS_CACHE")
    movie = f"{footage.sample_id}-{request.output_field}-{footage.part}-"
    path = folder / f"{movie}{digest_of(how, 16)}.jsonl"
    for other in folder.glob(f"{movie}*.jsonl"):
        if other != path:
            Journal(other).delete()
    make_room(folder.parent, ROOM, {path})
    return path


class MovieJournal(TrackJournal):
    """The journal of prompted objects.

    Parameters
    ----------
    earlier
        Masks in the database that still follow from the prompts.
    """

    def __init__(self, path: Path, earlier: Sequence[Masklet]) -> None:
        super().__init__(path)
        self._earlier = earlier

    def restore(self, tracker: VideoTracker) -> None:
        """Restore the masks of earlier runs, and the memory banks that the journal has."""
        memory, _ = load_memory(self.memory_path, tracker.model.device)
        kept: MaskTable[int, ObjectId] = MaskTable()
        try:
            kept = read_journal(self.path)
        except ExportError as error:
            log.warning("%s It is made again.", error)
        if not (kept.frames and memory):
            self.delete()
            kept, memory = MaskTable(), {}
        self._known = {(obj, frame) for obj in kept.objects for frame in kept.frames_of(obj)}
        earlier = {one.obj: one.masks for one in self._earlier}
        known = [
            Masklet(obj, masks={**earlier.get(obj, {}), **kept.of_object(obj)})
            for obj in tracker.objects
        ]
        tracker.restore([one for one in known if one.obj in memory], memory)
        tracker.restore([one for one in known if one.obj not in memory])
