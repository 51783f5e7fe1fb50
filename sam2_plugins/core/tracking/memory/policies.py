"""Rules of what an object remembers: `sam2`, as published, and two that need no training.

A policy chooses what to attend to, which of the decoder's three candidates becomes the mask, and
which frames are kept.
"""

from __future__ import annotations

from sam2_plugins.core.errors import TrackingError
from sam2_plugins.core.tracking.memory.bank import Policy
from sam2_plugins.core.tracking.memory.dam4sam import DistractorPolicy
from sam2_plugins.core.tracking.memory.published import Sam2Policy
from sam2_plugins.core.tracking.memory.samurai import MotionPolicy

POLICIES: dict[str, type[Sam2Policy]] = {
    "sam2": Sam2Policy,
    "motion": MotionPolicy,
    "distractor": DistractorPolicy,
}
"""Name to policy, whose first line of documentation tells a person what it does."""


def get_policy(name: str) -> Policy:
    """Return a policy with its published numbers.

    Raises
    ------
    TrackingError
        If there is none of that name.
    """
    if name not in POLICIES:
        raise TrackingError(f"There is no memory policy {name!r}: choose {', '.join(POLICIES)}.")
    return POLICIES[name]()


__all__ = [
    "POLICIES",
    "DistractorPolicy",
    "MotionPolicy",
    "Policy",
    "Sam2Policy",
    "get_policy",
]
