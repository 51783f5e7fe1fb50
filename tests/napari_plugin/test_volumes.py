"""Stacks over time: through the planes of one time point, and on to the next one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompt_files import save_prompts
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.layers.lineage import Lineage, tracks_of
from sam2_plugins.napari_plugin.layers.mask_store import MaskStore
from tests.napari_plugin.conftest import Desk
from tests.support.movies import disc

TIMES, PLANES, SIDE = 3, 4, 64


def ball() -> tuple[np.ndarray, np.ndarray]:
    """A ball in planes 0 to 2 that moves to the right; it is largest in plane 1."""
    truth = np.zeros((TIMES, PLANES, SIDE, SIDE), bool)
    for t in range(TIMES):
        for z, radius in ((0, 9), (1, 13), (2, 9)):
            truth[t, z] = disc((SIDE, SIDE), (22 + 7 * t, 30), radius)
    noise = np.random.default_rng(0).normal(0, 4, truth.shape)
    return (60 + 130 * truth + noise).astype(np.uint8), truth


@pytest.fixture
def stacks(make_desk: Callable[..., Desk]) -> Desk:
    desk = make_desk(ball()[0])
    desk.controller.use(desk.controller.images, axis=1, over=0)
    desk.viewer.dims.set_point((0, 1), (0, 1))
    return desk


def test_every_stack_is_tracked_from_one_click(stacks: Desk) -> None:
    stacks.click(30, 22)
    stacks.track("forward")
    truth, store = ball()[1], stacks.space.store
    found = np.array([[store[t, z] == 1 for z in range(PLANES)] for t in range(TIMES)])
    for t in range(TIMES):
        assert (found[t] & truth[t]).sum() / (found[t] | truth[t]).sum() > 0.8
    stacks.controller.undo()
    stacks.jobs.run()
    assert store.frames_of(1) == [(0, 1)]


def test_a_range_is_one_of_time_points(stacks: Desk) -> None:
    assert stacks.controller.runs.length == TIMES
    stacks.click(30, 22)
    stacks.track("forward", stop=1)
    assert {index[0] for index in stacks.space.store.frames_of(1)} == {0, 1}


def test_lives_are_in_time_where_stacks_are_tracked_over_it(stacks: Desk) -> None:
    stacks.click(30, 22)
    control = stacks.controller
    control.use(control.images, axis=0, over=None)
    stacks.track("forward", stop=2)
    stacks.space.go_to((1, 1))
    control.end_here()
    stacks.jobs.run()
    control.use(control.images, axis=1, over=0)
    stacks.space.go_to((0, 1))
    stacks.track("forward")
    seen = [index for index, mask in stacks.space.store.of_object(1).items() if mask.visible]
    assert {*seen} == {(t, z) for t in (0, 1) for z in (0, 1, 2)}
    stacks.space.go_to((1, 2))
    for act in (control.end_here, control.divisions.divide):
        control.attempt(act)
        assert stacks.failures.pop().startswith("Objects begin, end and divide in time")
    assert stacks.session.lives == {1: Life(None, 1)}
    stacks.space.go_to((2, 0))
    stacks.click(30, 36)
    assert stacks.session.lives == {1: Life(None, 2)}


def test_results_of_one_stack_tell_of_the_masks_in_the_others(stacks: Desk, tmp_path: Path) -> None:
    stacks.click(30, 22)
    results, store = stacks.controller.results, stacks.space.store
    results.export("csv", tmp_path)
    stacks.jobs.run()
    assert "are not in it" not in stacks.told[-1]
    stacks.track("forward")
    others = [store.get((t, z), 1) for t in (1, 2) for z in range(PLANES)]
    seen = sum(mask is not None and mask.visible for mask in others)
    for act in (
        lambda: results.export("csv", tmp_path),
        results.measure,
        lambda: results.save_prompts(tmp_path / "prompts.json"),
    ):
        act()
        stacks.jobs.run()
        assert f"{seen} masks of other planes or time points are not in it" in stacks.told[-1]


def test_an_object_in_several_planes_has_one_track() -> None:
    store = MaskStore((2, 3, 20, 30))
    for z, (x0, x1) in enumerate(((4, 5), (4, 7))):
        store.put((0, z), 1, ObjectMask.from_box((x0, 10, x1, 11), (20, 30)))
    data, _ = tracks_of(store, Lineage(), [1])
    assert data.tolist() == [[1, 0, 0.75, 10, 4.75]]


def test_prompts_of_a_stack_are_answered_on_the_planes_of_the_one_where_they_were_loaded(
    stacks: Desk, tmp_path: Path
) -> None:
    path = tmp_path / "prompts.json"
    save_prompts(path, [Prompt.of(1, 1, [(22.0, 30.0)])], {}, {1: (1, 2)})
    stacks.controller.results.load_prompts(path)
    stacks.viewer.dims.set_point(0, 2)  # before the model has answered
    stacks.jobs.run()
    mask = stacks.space.store.get((0, 1), 1)
    assert mask is not None and mask.area > 300
    assert stacks.session.lives == {}  # those were planes, and not times
    assert stacks.failures == []
