"""From a movie to its lineage: every object, without a click."""

from __future__ import annotations

from sam2_plugins.core.lineage.events import Event
from sam2_plugins.core.lineage.lineage_tracker import LineageFrame, LineageTracker
from sam2_plugins.core.lineage.proposer import ObjectProposer
from sam2_plugins.core.lineage.rules import LineageRules

__all__ = ["Event", "LineageFrame", "LineageRules", "LineageTracker", "ObjectProposer"]
