"""The command line and batch give the masks of the core."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sam2_plugins.cli import app
from sam2_plugins.core.masks.journal import read_journal
from sam2_plugins.core.prompt_files import prompt_to_json, save_prompts
from tests.support import agreement
from tests.support.agreement import BOXES, CLICKS, MASK_AND_BOX, Masks, Story, assert_alike

pytestmark = pytest.mark.slow


STORIES = pytest.mark.parametrize("story", [BOXES, CLICKS, MASK_AND_BOX])


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return agreement.write_movie(tmp_path_factory.mktemp("agreement") / "cells.mp4")


def in_folder(folder: Path) -> Masks:
    journal = read_journal(folder / "masks.jsonl").masklets()
    return {(int(one.obj), frame): mask for one in journal for frame, mask in one}


def command(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output


@STORIES
def test_track_agrees_with_the_core(movie: Path, tmp_path: Path, story: Story) -> None:
    save_prompts(tmp_path / "prompts.json", story.prompts)
    command(
        *("track", movie, "--prompts", tmp_path / "prompts.json", "--direction", "both"),
        *("--model", "nano", "--device", "cpu", "--format", "csv", "--out", tmp_path / "out"),
    )
    wanted = agreement.core_masks(movie, story)
    assert_alike(in_folder(tmp_path / "out"), wanted)


@STORIES
def test_batch_agrees_with_the_core(movie: Path, tmp_path: Path, story: Story) -> None:
    entry = {
        "source": str(movie),
        "name": "cells",
        "direction": "both",
        "prompts": [prompt_to_json(prompt) for prompt in story.prompts],
    }
    (tmp_path / "movies.jsonl").write_text(json.dumps(entry) + "\n")
    command(
        *("batch", tmp_path / "movies.jsonl", "--model", "nano", "--device", "cpu"),
        *("--format", "csv", "--out", tmp_path / "out"),
    )
    wanted = agreement.core_masks(movie, story)
    assert_alike(in_folder(tmp_path / "out" / "cells"), wanted)
