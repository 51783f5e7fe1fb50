"""Objects of a frame without a prompt: by a finder that was taught to see them, or by clicks."""

from sam2_plugins.core.tracking.proposals.clicks import ClickGrid, propose_by_clicks
from sam2_plugins.core.tracking.proposals.proposer import (
    ObjectProposer,
    Propose,
    disjoint,
    make_proposer,
)

__all__ = [
    "ClickGrid",
    "ObjectProposer",
    "Propose",
    "disjoint",
    "make_proposer",
    "propose_by_clicks",
]
