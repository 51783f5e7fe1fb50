"""Fine-tuning on a session's masks: what counts as truth, progress, stopping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sam2_plugins.core.errors import TrainingError
from sam2_plugins.napari_plugin.models.finetuning import Learning, annotated
from sam2_plugins.training.finetuning import AnnotatedMovie, Settings
from tests.napari_plugin.conftest import LEFT, Desk


def tracked(desk: Desk, everything: bool) -> AnnotatedMovie:
    desk.click(*LEFT)
    desk.track()
    control = desk.controller
    assert control.line is not None
    return annotated(desk.session, control.view(), control.line, control.length, everything)


def test_frames_without_a_prompt_count_only_by_choice(desk: Desk) -> None:
    movie = tracked(desk, everything=True)
    assert movie.frames == list(range(8))
    with movie.open() as frames:
        assert (frames.height, frames.width) == desk.space.store.frame_size
    line = desk.controller.line
    assert line is not None
    with pytest.raises(TrainingError, match="1 frames have masks that count"):
        annotated(desk.session, desk.controller.view(), line, 8, everything=False)


def test_a_lesson_is_stopped_at_the_next_step(desk: Desk, tmp_path: Path, nano: Any) -> None:
    movie = tracked(desk, everything=True)
    before = [tensor.clone() for tensor in nano.state_dict().values()]
    learning = Learning(
        lambda: nano, movie, tmp_path / "mine.safetensors", Settings(steps=50, clips=1, objects=1)
    )
    lessons = []
    for lesson in learning.steps():
        lessons.append(lesson)
        if lesson.done == 2:
            learning.stop()
    assert lessons[0].done == 0 and lessons[0].j is not None
    assert lessons[-1].done == 2 and learning.report is None
    assert not list(tmp_path.iterdir())
    assert all(
        (tensor == old).all()
        for tensor, old in zip(nano.state_dict().values(), before, strict=True)
    )
