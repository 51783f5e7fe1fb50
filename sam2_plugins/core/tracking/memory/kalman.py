"""Where a box will be on the next frame, if it goes on as it did: a Kalman filter.

The state is the box's centre, aspect and height, and their velocities, as in DeepSORT (Wojke et
al. 2017), with its noise: standard deviations in proportion to the box's height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.tracking.memory.bank import Box

_POSITION, _VELOCITY = 1 / 20, 1 / 160
_MOVE = np.eye(8) + np.eye(8, k=4)
_SEE = np.eye(4, 8)


@dataclass(frozen=True)
class BoxFilter:
    """Belief about a box.

    Attributes
    ----------
    mean
        [8]: x, y, aspect (width / height), height, and their change per frame.
    covariance
        [8, 8].
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, box: Box) -> BoxFilter:
        """Begin with a box, of whose velocity nothing is known."""
        seen = _measure(box)
        noise = _noise(2 * _POSITION, 10 * _VELOCITY, seen[3])
        return cls(np.concatenate((seen, np.zeros(4))), noise)

    @property
    def box(self) -> Box:
        """The box that is believed."""
        x, y, aspect, height = self.mean[:4]
        half, tall = max(aspect * height, 0.0) / 2, max(height, 0.0) / 2
        return float(x - half), float(y - tall), float(x + half), float(y + tall)

    def predict(self) -> BoxFilter:
        """Go to the next frame."""
        noise = _noise(_POSITION, _VELOCITY, self.mean[3])
        covariance = _MOVE @ self.covariance @ _MOVE.T + noise
        return BoxFilter(_MOVE @ self.mean, covariance)

    def update(self, box: Box) -> BoxFilter:
        """See a box on the present frame."""
        deviation = np.full(4, _POSITION * self.mean[3])
        deviation[2] = 1e-1
        uncertainty = _SEE @ self.covariance @ _SEE.T + np.diag(deviation**2)
        gain = np.linalg.solve(uncertainty, _SEE @ self.covariance).T
        mean = self.mean + gain @ (_measure(box) - _SEE @ self.mean)
        return BoxFilter(mean, self.covariance - gain @ uncertainty @ gain.T)


def _noise(position: float, velocity: float, height: float) -> NDArray[np.float64]:
    """Covariance [8, 8] of such deviations in heights; that of the aspect is fixed."""
    deviation = np.array([position] * 4 + [velocity] * 4) * height
    deviation[2], deviation[6] = 1e-2, 1e-5
    return np.diag(deviation**2)


def box_iou(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = _area(one) + _area(other) - shared
    return shared / union if union > 0 else 0.0


def _area(box: Box) -> float:
    return max(box[2] - box[0], 0.0) * max(box[3] - box[1], 0.0)


def _measure(box: Box) -> NDArray[np.float64]:
    x0, y0, x1, y1 = box
    height = max(y1 - y0, 1e-6)
    return np.array([(x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / height, height])
