from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from sam2_plugins.core.checkpoints import (
    cached_model,
    check_model_name,
    choose,
    choose_model,
    load_model,
    save_model,
)
from sam2_plugins.core.checkpoints.cache import weights_path
from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.model import build_model
from sam2_plugins.core.variants import get_variant


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SAM2_PLUGINS_CACHE", str(tmp_path))
    # Nothing listens there: a test that would download fails.
    monkeypatch.setenv("SAM2_PLUGINS_WEIGHTS_URL", "http://127.0.0.1:9")
    return tmp_path


@pytest.fixture
def on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "choose_device", lambda device: torch.device("cuda"))


def put(*names: str) -> None:
    for name in names:
        weights_path(get_variant(name)).touch()


def test_a_processor_takes_edgetam_rather_than_what_is_better_and_slower() -> None:
    put("sam2.1-large", "sam2.1-tiny", "edgetam")
    choice = choose_model("cpu")
    assert choice.name == "edgetam"
    assert "Better masks, at 6 times the arithmetic: choose the model sam2.1-tiny." in choice.note


def test_a_processor_takes_the_cheapest_where_all_cost_much() -> None:
    put("sam2.1-large", "sam2.1-base-plus", "sam2.1-tiny")
    choice = choose_model("cpu")
    assert choice.name == "sam2.1-tiny"
    assert "Faster, with 16% of the arithmetic: `sam2-plugins download edgetam` (56 MB)" in (
        choice.note
    )


@pytest.mark.usefixtures("on_a_card")
def test_a_card_takes_the_best_sam_2_1() -> None:
    put("edgetam", "sam2-large", "sam2.1-small", "sam2.1-base-plus")
    choice = choose_model()
    assert choice.name == "sam2.1-base-plus"
    assert "sam2-plugins download sam2.1-large" in choice.note


@pytest.mark.usefixtures("on_a_card")
def test_nothing_is_better_than_the_best() -> None:
    put("sam2.1-large")
    assert choose_model().note.endswith("No published model is better.")


def test_without_a_published_model_nano_is_taken_and_the_better_one_is_named(cache: Path) -> None:
    choice = choose_model("cpu")
    assert choice.name == "nano"
    assert "`sam2-plugins download edgetam` (56 MB)" in choice.note
    assert "\n" not in choice.note
    assert list(cache.iterdir()) == []


def test_auto_is_loaded_like_a_name_and_says_which_it_took(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = build_model(get_variant("edgetam"))
    torch.save({"model": made.state_dict()}, cache / "edgetam.pt")
    with caplog.at_level(logging.INFO, "sam2_plugins"):
        model = load_model("auto", "cpu", image_size=256)
    assert model.variant == get_variant("edgetam")
    assert "edgetam is the best for a processor" in caplog.messages[0]


def test_auto_is_nano_where_nothing_is_here() -> None:
    assert cached_model("auto", "cpu") is cached_model("nano", "cpu")


def test_a_host_can_check_a_name_before_the_model_is_needed(tmp_path: Path) -> None:
    for name in ("auto", "nano", "edgetam", "efficienttam_s_512x512"):
        check_model_name(name)
    with pytest.raises(ModelError, match="edgetam"):
        check_model_name("sam3")
    with pytest.raises(ModelError, match=r"mine\.pt"):
        check_model_name("mine.pt")
    check_model_name(save_model(build_model(get_variant("nano"), 64), tmp_path / "mine.pt"))
