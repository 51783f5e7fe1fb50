"""Times and pixel sizes as tifffile decodes them from the metadata of programs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sam2_plugins.core.frames._tiff_facts import pixel_size_of, times_of

NOTHING = {
    "is_ome": False,
    "ome_metadata": None,
    "imagej_metadata": None,
    "lsm_metadata": None,
    "stk_metadata": None,
    "micromanager_metadata": None,
    "pages": SimpleNamespace(first=SimpleNamespace(tags={})),
}
SERIES = SimpleNamespace(axes="TYX", shape=(4, 20, 30))


def tiff(**metadata: Any) -> Any:
    return SimpleNamespace(**{**NOTHING, **metadata})


@pytest.mark.parametrize(
    ("metadata", "times"),
    [
        ({"lsm_metadata": {"TimeIntervall": 5.0}}, [0, 5, 10, 15]),
        ({"lsm_metadata": {"TimeStamps": [3.0, 4.0, 6.0, 9.0]}}, [0, 1, 3, 6]),
        (
            {"stk_metadata": {"DatetimeCreated": np.array([0, 30, 60, 90], "datetime64[s]")}},
            [0, 30, 60, 90],
        ),
        ({"micromanager_metadata": {"Summary": {"Interval_ms": 250}}}, [0, 0.25, 0.5, 0.75]),
        ({"imagej_metadata": {"finterval": 2, "tunit": "min"}}, [0, 120, 240, 360]),
        ({"imagej_metadata": {"finterval": 2, "tunit": "frames"}}, None),
        ({"stk_metadata": {"DatetimeCreated": np.zeros(4, "datetime64[s]")}}, None),
        ({"imagej_metadata": {"finterval": "often"}}, None),
        ({"is_ome": True, "ome_metadata": "<OME><Image><Pixels TimeIncrement='x'/></Image>"}, None),
        ({}, None),
    ],
)
def test_times_are_in_seconds_from_the_first(
    metadata: dict[str, Any], times: list[float] | None
) -> None:
    found = times_of(tiff(**metadata), 0, SERIES)
    assert (None if found is None else found.tolist()) == times


@pytest.mark.parametrize(
    ("metadata", "size"),
    [
        ({"lsm_metadata": {"VoxelSizeX": 6.5e-7, "VoxelSizeY": 5e-7}}, (0.65, 0.5)),
        (
            {
                "stk_metadata": {
                    "XCalibration": 0.65,
                    "YCalibration": 0.5,
                    "CalibrationUnits": "um",
                }
            },
            (0.65, 0.5),
        ),
        (
            {
                "stk_metadata": {
                    "XCalibration": 1.0,
                    "YCalibration": 1.0,
                    "CalibrationUnits": "pixel",
                }
            },
            None,
        ),
        ({"micromanager_metadata": {"Summary": {"PixelSize_um": 0.65}}}, (0.65, 0.65)),
        ({"micromanager_metadata": {"Summary": {"PixelSize_um": 0.0}}}, None),
        ({}, None),
    ],
)
def test_pixels_are_in_micrometres(
    metadata: dict[str, Any], size: tuple[float, float] | None
) -> None:
    found = pixel_size_of(tiff(**metadata), 0)
    assert found == (size if size is None else pytest.approx(size))
