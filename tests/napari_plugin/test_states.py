"""What the strip under the frames shows."""

from __future__ import annotations

from napari.components import ViewerModel

from sam2_plugins.napari_plugin.controllers.jobs import AtOnce, Jobs
from sam2_plugins.napari_plugin.controllers.review import Review
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.frame_states import FrameState, Kind, worst_by_column
from tests.napari_plugin.conftest import Later


def review_with(jobs: Jobs) -> Review:
    return Review(DockModel(ViewerModel(), lambda: None), jobs)  # type: ignore[arg-type,return-value]


def test_one_doubtful_frame_is_seen_among_more_frames_than_columns() -> None:
    states = [FrameState(Kind.TRACKED)] * 1000
    states[333] = FrameState(Kind.DOUBTFUL)
    shown = worst_by_column(states, 200)
    assert shown.count(Kind.DOUBTFUL) == 1
    assert shown[333 // 5] is Kind.DOUBTFUL


def test_as_many_columns_as_frames_show_every_frame() -> None:
    states = [FrameState(kind) for kind in Kind]
    assert worst_by_column(states, len(states)) == list(Kind)


def test_what_was_known_is_shown_until_it_is_judged_again() -> None:
    jobs = Later()
    review = review_with(jobs)
    lost, tracked = [FrameState(Kind.LOST)], [FrameState(Kind.TRACKED)]
    assert review.known("cell", 1, lambda: lost) == []
    jobs.run()
    assert review.known("cell", 2, lambda: tracked) == lost
    jobs.run()
    assert review.known("cell", 2, lambda: lost) == tracked


def test_states_of_another_object_are_never_shown_for_this_one() -> None:
    review = review_with(AtOnce())
    lost = [FrameState(Kind.LOST)]
    review.known("cell", 1, lambda: lost)
    assert review.known("cell", 1, lambda: []) == lost
    jobs = Later()
    review = review_with(jobs)
    review.known("cell", 1, lambda: lost)
    review.known("other", 1, list)
    jobs.run()
    assert review.known("other", None, list) == []
