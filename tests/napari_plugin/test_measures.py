"""What a plot of measures says beside its lines."""

from __future__ import annotations

import pytest

from sam2_plugins.napari_plugin.models.measures import Measures, title_of


@pytest.mark.parametrize(
    ("quantity", "title"),
    [
        ("area_px", "area (px²)"),
        ("area_um2", "area (µm²)"),
        ("speed_µm_per_frame", "speed (µm per frame)"),
        ("mean_red channel", "mean red channel"),
        ("x_px", "x (px)"),
        ("perimeter", "perimeter (px)"),
        ("iou", "iou"),
    ],
)
def test_an_axis_has_its_unit(quantity: str, title: str) -> None:
    assert title_of(quantity) == title


def test_a_line_has_the_frames_on_which_the_quantity_is_known() -> None:
    rows = [
        {"label": 3, "frame": 1, "area_px": 7},
        {"label": 3, "frame": 2, "area_px": 8, "speed_px_per_frame": 0.5},
    ]
    measures = Measures.of(rows)
    assert measures.quantities == ("area_px", "speed_px_per_frame")
    assert measures.lines("area_px")[3].tolist() == [[1, 7], [2, 8]]
    assert measures.lines("speed_px_per_frame")[3].tolist() == [[2, 0.5]]
