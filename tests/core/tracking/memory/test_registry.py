from __future__ import annotations

from sam2_plugins.core.tracking.memory.policies import POLICIES
from sam2_plugins.core.tracking.memory.registry import MEMORIES


def test_forms_offer_every_policy() -> None:
    assert list(MEMORIES) == list(POLICIES)
