"""The model's work, where the window must not wait for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.tracker import FrameResult, VideoTracker
from tests.cli.conftest import moving_discs
from tests.core.tracking.test_neighbours import CLICKS, rods
from tests.napari_plugin.conftest import LEFT, RIGHT, Desk

PATIENCE = 120.0


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    made = make_desk(moving_discs(4)[0])
    made.click(*LEFT)
    made.controller.new_object()
    made.click(*RIGHT)
    return made


def test_an_object_is_removed_while_the_model_is_being_loaded(desk: Desk, nano: Sam2Model) -> None:
    loading, ready = threading.Event(), threading.Event()

    def slow() -> Sam2Model:
        loading.set()
        assert ready.wait(PATIENCE)
        return nano

    desk.controller.load_model = slow
    desk.space.points.add([0, 42.0, 42.0])
    teller = threading.Thread(target=desk.jobs.run, daemon=True)
    teller.start()
    assert loading.wait(PATIENCE)
    removing = threading.Thread(target=lambda: desk.session.remove(1), daemon=True)
    removing.start()
    removing.join(PATIENCE / 4)
    waited = removing.is_alive()
    ready.set()
    teller.join(PATIENCE)
    assert not waited


def test_an_object_removed_in_mid_run_is_tracked_no_further(desk: Desk) -> None:
    def remove(progress: object) -> None:
        if getattr(progress, "done", 0) == 2:
            desk.session.remove(1)

    desk.controller.progressed.connect(remove)
    desk.track()
    assert desk.failures == []
    assert desk.space.store.frames_of(1) == []
    assert desk.space.store.frames_of(2) == [(0,), (1,), (2,), (3,)]


def test_frames_forgotten_in_mid_run_are_looked_at_anew_by_the_next(desk: Desk) -> None:
    line = desk.controller.line
    assert line is not None
    before = desk.session._tracking[line].tracker
    desk.session.forget_frames()
    desk.track()
    assert desk.session._tracking[line].tracker is not before
    assert desk.space.store.frames_of(1) == [(0,), (1,), (2,), (3,)]


def test_masks_that_come_after_their_object_was_removed_are_not_kept(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def removing(tracker: VideoTracker, *arguments: Any) -> Iterator[FrameResult]:
        for result in propagate(tracker, *arguments):
            if result.frame == 2:
                desk.session.remove(1)
            yield result

    propagate = VideoTracker.propagate
    monkeypatch.setattr(VideoTracker, "propagate", removing)
    desk.track()
    assert desk.space.store.frames_of(1) == []


def test_an_answer_that_comes_after_its_object_was_removed_is_not_shown(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def removing(tracker: VideoTracker, prompt: Prompt) -> ObjectMask:
        mask = add(tracker, prompt)
        desk.controller.delete(int(prompt.obj))
        return mask

    add = VideoTracker.add
    monkeypatch.setattr(VideoTracker, "add", removing)
    desk.click(60, 80)
    assert desk.space.store.frames_of(2) == []
    assert all(label != 2 for _, label in desk.session.prompts.along(desk.controller.line))


def test_a_click_on_a_neighbour_mends_the_mask_that_holds_it_until_it_is_undone(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk(rods())
    (x1, y1), (x2, y2) = CLICKS.values()
    desk.click(y1, x1)
    together = desk.space.store.get((0,), 1)
    assert together is not None and together.around(x2, y2, 0).any()
    desk.controller.new_object()
    desk.click(y2, x2)
    alone = desk.space.store.get((0,), 1)
    assert alone is not None and not alone.around(x2, y2, 0).any()
    line = desk.controller.line
    assert line is not None
    assert desk.session.prompts.get((line, 0, 1))[0].beside == (CLICKS[2],)
    desk.undo()
    assert desk.space.store.get((0,), 1) == together
    desk.redo()
    assert desk.space.store.get((0,), 1) == alone
