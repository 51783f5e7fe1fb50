from __future__ import annotations

import errno

import pytest

from sam2_plugins.core.checkpoints import load_model, save_model
from sam2_plugins.core.files import naming
from sam2_plugins.core.model import build_model
from sam2_plugins.core.variants import get_variant


@pytest.mark.slow
def test_a_smoke_run_makes_weights_that_load_and_can_be_resumed(run, tmp_path):
    first = run("train", "nano", "--out", tmp_path, "--smoke")
    assert first.code == 0
    assert load_model(tmp_path / "nano.safetensors").variant.name == "nano"
    log = (tmp_path / "log.csv").read_text()
    assert run("train", "nano", "--out", tmp_path, "--smoke", "--resume").code == 0
    assert (tmp_path / "log.csv").read_text() == log
    assert (tmp_path / "log.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_is_not_taken_up_by_chance(run, tmp_path):
    (tmp_path / "state.pt").touch()
    result = run("train", "nano", "--out", tmp_path)
    assert result.code == 1
    assert "--resume goes on with it" in result.err


def test_without_a_run_there_is_nothing_to_resume(run, tmp_path):
    result = run("train", "nano", "--out", tmp_path, "--resume")
    assert result.code == 1
    assert "no run to resume" in result.err


def test_the_memory_alone_is_taught_from_weights_that_know_the_rest(run, tmp_path):
    result = run("train", "nano", "--out", tmp_path, "--memory")
    assert result.code == 1
    assert "give them with --start" in result.err


def test_a_full_disk_is_named_and_the_last_state_kept(run, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "state.pt").write_text("the last step")
        with naming(tmp_path / "run" / "state.pt"):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sam2_plugins.training.train.train", full)
    result = run("train", "nano", "--out", tmp_path / "run", "--smoke")
    assert result.code == 1
    assert "state.pt cannot be written: No space left on device" in result.err.replace("\n", " ")
    assert "--resume goes on from there" in result.err.replace("\n", " ")


def test_only_what_has_a_recipe_is_trained(run, tmp_path):
    result = run("train", "sam2.1-large", "--out", tmp_path)
    assert result.code == 2
    assert "nano" in result.err


@pytest.mark.slow
def test_training_goes_on_from_the_embedded_weights(run, tmp_path, nano):
    assert run("train", "nano", "--out", tmp_path, "--smoke", "--start", nano).code == 0
    assert load_model(tmp_path / "nano.safetensors").variant.name == "nano"


def test_a_model_of_another_kind_is_no_start(run, tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_model(build_model(get_variant("sam2.1-tiny"), 256), path)
    result = run("train", "nano", "--out", tmp_path / "run", "--start", path)
    assert result.code == 1
    assert "sam2.1-tiny" in result.err and "give nano" in result.err
