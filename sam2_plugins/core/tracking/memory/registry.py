"""The memory policies by name, for forms: `core.policies` has them, and needs torch."""

from __future__ import annotations

MEMORIES: dict[str, str] = {
    "sam2": "As published: all prompted frames, and the six before",
    "motion": "Prefer the mask where the object was going; remember frames that went well",
    "distractor": "Keep frames on which the object was told apart from something like it",
}
"""Name of a policy to what it does."""
