from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from sam2_plugins.training.synthetic.noise import blur, drifting, fractal_field, smooth_field


def test_a_smooth_field_has_unit_deviation_and_no_steps() -> None:
    field = smooth_field(np.random.default_rng(0), (200, 300), 30)
    assert field.shape == (200, 300)
    assert field.std() == pytest.approx(1, abs=0.15)
    assert np.abs(np.diff(field)).max() < 0.5


def test_more_octaves_make_a_field_rougher_at_the_same_deviation() -> None:
    smooth, rough = (fractal_field(np.random.default_rng(1), (256, 256), 16, n) for n in (1, 4))
    assert rough.std() == pytest.approx(1, abs=0.15)
    assert np.abs(np.diff(rough)).mean() > 2 * np.abs(np.diff(smooth)).mean()


@pytest.mark.parametrize("sigma", [0.0, 1.0, 9.0])
def test_blur_is_close_to_a_gaussian_filter(sigma: float) -> None:
    image = np.zeros((90, 101), np.float32)
    image[30:60, 40:80] = 1
    exact = ndimage.gaussian_filter(image, sigma) if sigma else image
    np.testing.assert_allclose(blur(image, sigma), exact, atol=0.05)


def test_a_drift_stays_at_unit_deviation_and_remembers() -> None:
    walk = drifting(np.random.default_rng(2), 30, (4000,), 0.9)
    assert walk.std(1) == pytest.approx(np.ones(30), abs=0.1)
    assert np.corrcoef(walk[10], walk[11])[0, 1] == pytest.approx(0.9, abs=0.05)
