"""What the generator makes: frames, exact labels, and who descends from whom."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Clip:
    """A synthetic time-lapse with its ground truth.

    Attributes
    ----------
    frames
        uint8 [T, H, W, 3]; the grey kinds have three equal channels.
    labels
        uint8 [T, H, W]: 0 is background, k the visible pixels of object k.
    kind
        One of `KINDS`.
    parents
        The mother of each daughter. The mother's label ends where her daughters' begin.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    kind: str
    parents: dict[int, int] = field(default_factory=dict)
