from __future__ import annotations

import pytest

from sam2_plugins.core.checkpoints import load_model


@pytest.mark.slow
def test_a_smoke_run_makes_weights_that_load_and_goes_on_when_repeated(run, tmp_path):
    first = run("train", "nano", "--out", tmp_path, "--smoke")
    assert first.code == 0
    assert load_model(tmp_path / "nano.safetensors").variant.name == "nano"
    log = (tmp_path / "log.csv").read_text()
    assert run("train", "nano", "--out", tmp_path, "--smoke").code == 0
    assert (tmp_path / "log.csv").read_text() == log


def test_only_what_has_a_recipe_is_trained(run, tmp_path):
    result = run("train", "sam2.1-large", "--out", tmp_path)
    assert result.code == 2
    assert "nano" in result.err
