"""Synthetic time-lapses with exact ground truth, for training from scratch."""

from .clip import Clip
from .generate import KINDS, MASK_ONLY, make_clip
from .photos import Photos
from .sample import sample_timelapse

__all__ = ["KINDS", "MASK_ONLY", "Clip", "Photos", "make_clip", "sample_timelapse"]
