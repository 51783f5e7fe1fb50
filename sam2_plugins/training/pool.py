"""Earlier name of `batches`."""

from __future__ import annotations

from sam2_plugins.training.batches import ClipPool, ClipShape

__all__ = ["ClipPool", "ClipShape"]
