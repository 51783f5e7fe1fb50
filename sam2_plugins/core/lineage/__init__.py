"""From a movie to its lineage: every object, without a click."""

from sam2_plugins.core.lineage.events import Event
from sam2_plugins.core.lineage.lineage_tracker import LineageFrame, LineageTracker
from sam2_plugins.core.lineage.rules import LineageRules
from sam2_plugins.core.lineage.run import LineageJournal, run_all
from sam2_plugins.core.lineage.track_all import AllObjects, from_label_images, note_on, track_all

__all__ = [
    "AllObjects",
    "Event",
    "LineageFrame",
    "LineageJournal",
    "LineageRules",
    "LineageTracker",
    "from_label_images",
    "note_on",
    "run_all",
    "track_all",
]
