"""Synthetic time-lapses with exact ground truth, for training from scratch."""

from __future__ import annotations

from .clip import Clip
from .generate import KINDS, make_clip
from .sample import sample_timelapse

__all__ = ["KINDS", "Clip", "make_clip", "sample_timelapse"]
