"""What the strip under the frames shows."""

from __future__ import annotations

from sam2_plugins.napari_plugin._states import FrameState, Kind, worst_by_column


def test_one_doubtful_frame_is_seen_among_more_frames_than_columns() -> None:
    states = [FrameState(Kind.TRACKED)] * 1000
    states[333] = FrameState(Kind.DOUBTFUL)
    shown = worst_by_column(states, 200)
    assert shown.count(Kind.DOUBTFUL) == 1
    assert shown[333 // 5] is Kind.DOUBTFUL


def test_as_many_columns_as_frames_show_every_frame() -> None:
    states = [FrameState(kind) for kind in Kind]
    assert worst_by_column(states, len(states)) == list(Kind)
