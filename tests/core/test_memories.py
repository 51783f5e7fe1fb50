from __future__ import annotations

from sam2_plugins.core.memories import MEMORIES
from sam2_plugins.core.policies import POLICIES


def test_forms_offer_every_policy() -> None:
    assert list(MEMORIES) == list(POLICIES)
