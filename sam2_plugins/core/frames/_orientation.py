"""How stored frames have to be turned and mirrored before they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_EXIF = {  # orientation: is transposed, is flipped left to right, is flipped top to bottom; then
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, True, False),
    7: (True, True, True),
    8: (True, False, True),
}


@dataclass(frozen=True)
class Orientation:
    """A transposition of rows and columns, and flips after it.

    Attributes
    ----------
    transposed
        Whether rows become columns.
    flipped_x, flipped_y
        Whether columns, and rows, then change their order.
    """

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False

    @classmethod
    def from_exif(cls, orientation: int | None) -> Orientation:
        """Take the orientation 1 to 8 of EXIF; anything else is upright."""
        return cls(*_EXIF.get(orientation or 1, ()))

    @classmethod
    def from_display_matrix(cls, matrix: Any) -> Orientation:
        """Take the matrix (a, b, u, c, d, v, x, y, w) of an MP4: x' = a x + c y, y' = b x + d y.

        Angles in between are taken for the nearest quarter turn.
        """
        a, b, _, c, d = (int(value) for value in matrix[:5])
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    @property
    def mirrored(self) -> bool:
        """Whether it includes a reflection."""
        return self.transposed ^ self.flipped_x ^ self.flipped_y

    @property
    def rotation(self) -> int:
        """Degrees counterclockwise of the turn, after the mirroring left to right if there is one.

        One of 0, 90, 180, 270.
        """
        if self.transposed:
            return 270 if self.flipped_x else 90
        return 180 if self.flipped_y else 0

    def apply(self, image: NDArray) -> NDArray:
        """Turn an image [H, W, ...]."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        return image[:: -1 if self.flipped_y else 1, :: -1 if self.flipped_x else 1]

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) after turning."""
        return (width, height) if self.transposed else (height, width)


def of_frame(frame: Any) -> Orientation:
    """Return the orientation of a PyAV frame."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 does not know all kinds that FFmpeg 8 gives, such as EXIF
        turned = int(frame.rotation) % 360
        return Orientation(turned in (90, 270), turned in (180, 270), turned in (90, 180))
    if matrix is None:
        return Orientation()
    return Orientation.from_display_matrix(np.frombuffer(bytes(matrix), np.int32))
