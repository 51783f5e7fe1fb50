"""Random fields made cheaply: small grids, enlarged with separable spline weights."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

Field = NDArray[np.float32]

# A cubic B-spline leaves 151 / 315 of the variance of white noise on its grid, per axis.
_SPLINE_GAIN = np.float32(315 / 151)


# The weights are sparse, so that no threads of a linear algebra library wake up for small products.
@lru_cache(maxsize=512)
def _spline_weights(length: int, cells: int) -> sparse.csr_array:
    """Cubic B-spline weights [length, cells + 3] of `length` samples over `cells` cells."""
    place = np.linspace(0, cells, length, endpoint=False)
    base = np.minimum(place.astype(int), cells - 1)
    f = place - base
    basis = np.stack(
        [(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3], 1
    )
    return _rows(basis / 6, base[:, None] + np.arange(4), cells + 3)


@lru_cache(maxsize=64)
def _linear_weights(length: int, blocks: int) -> sparse.csr_array:
    """Linear weights [length, blocks] that enlarge block means to `length` samples."""
    place = np.clip((np.arange(length) + 0.5) * blocks / length - 0.5, 0, blocks - 1)
    base = np.minimum(place.astype(int), max(blocks - 2, 0))
    share = place - base
    columns = np.minimum(base[:, None] + np.arange(2), blocks - 1)
    return _rows(np.stack([1 - share, share], 1), columns, blocks)


def _rows(values: NDArray, columns: NDArray, width: int) -> sparse.csr_array:
    starts = np.arange(len(values) + 1) * values.shape[1]
    parts = (values.ravel().astype(np.float32), columns.ravel(), starts)
    return sparse.csr_array(parts, shape=(len(values), width))


def _enlarge(rows: sparse.csr_array, grid: Field, columns: sparse.csr_array) -> Field:
    return np.asarray((columns @ (rows @ grid).T).T, np.float32, order="C")


def smooth_field(
    rng: np.random.Generator, shape: tuple[int, int], cells: float, stretch: float = 1.0
) -> Field:
    """Smooth noise of zero mean and unit deviation, with `cells` bumps along the longer side.

    `stretch` multiplies the bumps along y only (stripes, grass, water).
    """
    height, width = shape
    step = max(shape) / cells
    rows = max(1, round(height / step * stretch))
    columns = max(1, round(width / step))
    grid = rng.standard_normal((rows + 3, columns + 3), dtype=np.float32)
    smooth = _enlarge(_spline_weights(height, rows), grid, _spline_weights(width, columns))
    return _SPLINE_GAIN * smooth


def fractal_field(
    rng: np.random.Generator,
    shape: tuple[int, int],
    cells: float,
    octaves: int = 4,
    persistence: float = 0.6,
    stretch: float = 1.0,
) -> Field:
    """Sum of `octaves` smooth fields, each twice as fine and `persistence` as strong."""
    total = np.zeros(shape, np.float32)
    weight, power = 1.0, 0.0
    for octave in range(octaves):
        fine = cells * 2**octave
        if octave and fine > max(shape) / 1.5:
            break
        total += np.float32(weight) * smooth_field(rng, shape, fine, stretch)
        power += weight**2
        weight *= persistence
    return total / np.float32(np.sqrt(power))


def white_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Field:
    """Independent normal noise."""
    return rng.standard_normal(shape, dtype=np.float32)


def blur(image: Field, sigma: float) -> Field:
    """Gaussian blur; wide ones run on block means, since they leave nothing finer."""
    if sigma < 0.3:
        return image
    step = int(sigma // 3)
    if step < 2:
        return np.asarray(ndimage.gaussian_filter(image, sigma, truncate=3), np.float32)
    height, width = image.shape
    padded = np.pad(image, ((0, -height % step), (0, -width % step)), mode="edge")
    rows, columns = padded.shape[0] // step, padded.shape[1] // step
    small = padded.reshape(rows, step, columns, step).mean((1, 3), dtype=np.float32)
    small = ndimage.gaussian_filter(small, sigma / step, truncate=3)
    down, right = _linear_weights(rows * step, rows), _linear_weights(columns * step, columns)
    return _enlarge(down, small, right)[:height, :width]


def drifting(
    rng: np.random.Generator, frames: int, shape: tuple[int, ...], persistence: float
) -> NDArray[np.float64]:
    """Stationary random walks [frames, *shape] of unit deviation (first-order autoregression)."""
    walk = rng.standard_normal((frames, *shape))
    kick = np.sqrt(1 - persistence**2)
    for frame in range(1, frames):
        walk[frame] = persistence * walk[frame - 1] + kick * walk[frame]
    return walk


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """One number whose logarithm is uniform between those of `low` and `high`."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
