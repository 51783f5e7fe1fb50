"""Rules of what an object remembers, one module each.

A policy chooses what to attend to, which of the decoder's candidates becomes the mask, and which
frames are kept.
"""

from sam2_plugins.core.tracking.memory.policies._registry import (
    get_policy,
    memory_policy,
    policies,
    policy_help,
    policy_name,
)

__all__ = ["get_policy", "memory_policy", "policies", "policy_help", "policy_name"]
