from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from sam2_plugins.core.checkpoints import (
    cached_model,
    find_weights,
    load_model,
    read_card,
    save_model,
)
from sam2_plugins.core.checkpoints.cache import sha256_of
from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.model import Sam2Model, build_model
from sam2_plugins.core.variants import NANO, VARIANTS, get_variant
from tests.core.permissions import read_only_folder
from tests.core.weight_server import WeightServer, serving

ROOT = Path(__file__).parents[2]
CHANGED_NANO = replace(NANO, memory_layers=1)


def seeded_state(config: str) -> dict[str, Tensor]:
    """A state dict with the published names and shapes: each tensor one number, repeated.

    Repeating by stride makes even a large model's file small.
    """
    shapes = json.loads((ROOT / "tests" / "reference" / f"{config}.json").read_text())
    return {
        name: torch.tensor(float(i)).expand(shape) for i, (name, shape) in enumerate(shapes.items())
    }


def holds(model: Sam2Model, state: dict[str, Tensor]) -> bool:
    found = model.state_dict()
    return found.keys() == state.keys() and all(
        torch.equal(found[name].cpu(), state[name]) for name in state
    )


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("SAM2_PLUGINS_CACHE", str(folder))
    # Nothing listens there: a test that would download fails.
    monkeypatch.setenv("SAM2_PLUGINS_WEIGHTS_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return folder


@pytest.fixture(scope="module")
def tiny() -> dict[str, Tensor]:
    return seeded_state("sam2.1_hiera_tiny")


@pytest.fixture
def small_model() -> Sam2Model:
    torch.manual_seed(0)
    return build_model(CHANGED_NANO, 128)


def refused(name_or_path: str | Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(name_or_path, "cpu")
    return str(caught.value)


def test_a_published_file_in_the_cache_is_loaded_by_name(
    cache: Path, tiny: dict[str, Tensor]
) -> None:
    torch.save({"model": tiny}, cache / "sam2.1_hiera_tiny.pt")
    model = load_model("sam2.1-tiny", "cpu")
    assert holds(model, tiny)
    assert model.variant == VARIANTS["sam2.1-tiny"]
    assert not model.training


def test_a_name_that_is_not_in_the_cache_is_downloaded_and_loaded(
    cache: Path, tiny: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"model": tiny}, tmp_path / "served.pt")
    body = (tmp_path / "served.pt").read_bytes()
    seen: list[int] = []
    with serving(WeightServer(body)) as server:
        monkeypatch.setenv("SAM2_PLUGINS_WEIGHTS_URL", server.url)
        model = load_model("sam2.1-tiny", "cpu", on_progress=lambda done, _: seen.append(done))
    assert holds(model, tiny)
    assert seen[-1] == len(body)


def test_the_variant_of_a_bare_state_dict_is_recognised(tmp_path: Path) -> None:
    state = seeded_state("sam2_hiera_small")
    torch.save(state, tmp_path / "mine.pt")
    model = load_model(tmp_path / "mine.pt", "cpu", image_size=256)
    assert model.variant == VARIANTS["sam2-small"]
    assert model.image_size == 256
    assert holds(model, state)


def test_half_precision_weights_are_widened(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    torch.save({name: tensor.half() for name, tensor in tiny.items()}, tmp_path / "half.pt")
    assert holds(load_model(tmp_path / "half.pt", "cpu"), tiny)


def test_another_size_under_a_name_is_named(cache: Path) -> None:
    torch.save({"model": seeded_state("sam2.1_hiera_small")}, cache / "sam2.1_hiera_tiny.pt")
    message = refused("sam2.1-tiny")
    assert "holds sam2.1-small, asked for sam2.1-tiny" in message
    assert "sam2-plugins download sam2.1-tiny" in message


def test_the_older_release_under_the_newer_name_is_named(cache: Path) -> None:
    torch.save({"model": seeded_state("sam2_hiera_tiny")}, cache / "sam2.1_hiera_tiny.pt")
    assert "holds sam2-tiny, asked for sam2.1-tiny" in refused("sam2.1-tiny")


def test_unknown_and_missing_tensors_are_named(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    state = {**tiny, "my_head.weight": torch.zeros(3)}
    del state["no_mem_embed"]
    torch.save(state, tmp_path / "odd.pt")
    message = refused(tmp_path / "odd.pt")
    assert "does not fit sam2.1-tiny" in message
    assert "unknown tensors: my_head.weight" in message
    assert "missing tensors: no_mem_embed" in message


def test_another_network_says_how_its_tensors_begin(tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.zeros(2), "bn1.weight": torch.zeros(2)}, tmp_path / "r.pt")
    message = refused(tmp_path / "r.pt")
    assert "holds no SAM 2" in message
    assert "conv1.weight" in message


def test_a_file_changed_since_its_download_is_refused(cache: Path, tiny: dict[str, Tensor]) -> None:
    path = cache / "sam2.1_hiera_tiny.pt"
    torch.save({"model": tiny}, path)
    load_model("sam2.1-tiny", "cpu")  # put there by hand: now its digest is known
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    message = refused("sam2.1-tiny")
    assert "damaged" in message
    assert "sam2-plugins download sam2.1-tiny" in message


def saved(config: str, path: Path, size: int | None = None) -> Path:
    state = build_model(get_variant(config), size).state_dict()
    torch.save({"model": state}, path)
    return path


def test_edgetam_is_loaded_under_its_published_names_with_its_counters(tmp_path: Path) -> None:
    path = saved("edgetam", tmp_path / "any name.pt")
    model = load_model(path, "cpu", image_size=512)
    assert model.variant == VARIANTS["edgetam"]
    assert holds(model, torch.load(path)["model"])


def test_a_file_that_is_not_the_published_one_is_used_and_said(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    saved("edgetam", cache / "edgetam.pt")
    for _ in range(2):
        caplog.clear()
        assert load_model("edgetam", "cpu").variant.name == "edgetam"
        assert "is not the published file" in caplog.text
        assert "sam2-plugins download edgetam" in caplog.text


def test_variants_of_the_same_shapes_are_told_by_the_name_of_the_file(tmp_path: Path) -> None:
    for config in ("efficienttam_ti", "efficienttam_ti_2", "efficienttam_ti_512x512"):
        path = saved("efficienttam-ti", tmp_path / f"{config}.pt")
        assert load_model(path, "cpu").variant == get_variant(config)


def test_variants_of_the_same_shapes_are_never_guessed(tmp_path: Path) -> None:
    message = refused(saved("efficienttam-ti", tmp_path / "mine.pt"))
    assert "efficienttam-ti, efficienttam-ti-1, efficienttam-ti-2, efficienttam-ti-512x512" in (
        message
    )
    assert "such as efficienttam_ti.pt" in message


def test_the_published_digest_tells_more_than_the_name(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved("efficienttam-ti", cache / "efficienttam_ti_1.pt")
    other = get_variant("efficienttam-ti-2")
    assert other.published is not None
    known = replace(other, published=replace(other.published, sha256=sha256_of(path)))
    monkeypatch.setitem(VARIANTS, other.name, known)
    assert load_model(path, "cpu").variant.name == "efficienttam-ti-2"
    assert "holds efficienttam-ti-2, asked for efficienttam-ti-1" in refused("efficienttam-ti-1")


def test_a_saved_model_of_another_family_says_what_it_is(tmp_path: Path) -> None:
    for name in ("edgetam", "efficienttam-ti-1"):
        model = build_model(get_variant(name), 256)
        back = load_model(save_model(model, tmp_path / f"{name}.safetensors"), "cpu")
        assert back.variant == replace(get_variant(name), image_size=256)
        assert holds(back, model.state_dict())


class _Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("name", ["evil.pt", "evil.safetensors"])
def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "was run"
    torch.save({"model": {"weight": _Bomb(marker)}}, tmp_path / name)
    message = refused(tmp_path / name)
    assert "would run code" in message
    assert "mkdir" in message
    assert "weights_only" not in message
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_bare_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "was run"
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(_Bomb(marker)))
    assert "refused" in refused(tmp_path / "evil.pt")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><html>404</html>", "a web page"),
        (b"\xef\xbb\xbf \n<html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
        (b"", "empty"),
        (b"some notes", "neither a PyTorch nor a safetensors file"),
        (b"\x10\0\0\0\0\0\0\0{broken header}", "damaged"),
    ],
)
def test_what_is_no_checkpoint_is_told(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    message = refused(path)
    assert what in message
    assert str(path) in message


def test_a_web_page_in_the_cache_says_how_to_fetch_the_weights(cache: Path) -> None:
    (cache / "sam2.1_hiera_tiny.pt").write_text("<html>please log in</html>")
    message = refused("sam2.1-tiny")
    assert "a web page" in message
    assert "sam2-plugins download sam2.1-tiny" in message


def test_an_incomplete_file_is_told(tmp_path: Path, tiny: dict[str, Tensor]) -> None:
    path = tmp_path / "weights.pt"
    torch.save(tiny, path)
    path.write_bytes(path.read_bytes()[:-1000])
    assert "damaged or incomplete" in refused(path)


@pytest.mark.parametrize("content", [{"model": {}}, [1, 2], {"model": {"weight": "text"}}])
def test_a_file_without_a_state_dict_is_told(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pt")
    assert "holds no state dict" in refused(tmp_path / "weights.pt")


@pytest.mark.parametrize("name", ["missing.pt", "folder/missing", "missing.safetensors"])
def test_a_missing_file_is_named(name: str) -> None:
    assert name in refused(name)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"sam2\.1-tiny"):
        load_model("sam2.1-huge")


def test_the_authors_names_are_understood(cache: Path, tiny: dict[str, Tensor]) -> None:
    torch.save({"model": tiny}, cache / "sam2.1_hiera_tiny.pt")
    assert holds(load_model("sam2.1_hiera_tiny.pt", "cpu"), tiny)


def test_a_saved_model_comes_back_with_its_variant_and_card(
    small_model: Sam2Model, tmp_path: Path
) -> None:
    card = {"data": "synthetic time-lapses", "licence": "Apache-2.0"}
    path = save_model(small_model, tmp_path / "new" / "mine.safetensors", card)
    model = load_model(path, "cpu")
    assert holds(model, small_model.state_dict())
    assert model.variant == replace(CHANGED_NANO, image_size=128)
    assert read_card(path) == card
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode
    assert [p.name for p in path.parent.iterdir()] == ["mine.safetensors"]


def test_a_save_that_fails_leaves_the_older_file(small_model: Sam2Model, tmp_path: Path) -> None:
    path = save_model(small_model, tmp_path / "mine.safetensors")
    before = path.read_bytes()
    with pytest.raises(ModelError, match="Cannot write"):
        save_model(small_model, path, {"size": 1})  # type: ignore[dict-item]
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_save_that_cannot_take_its_place_leaves_nothing(
    small_model: Sam2Model, tmp_path: Path
) -> None:
    (tmp_path / "mine.safetensors").mkdir()
    with pytest.raises(ModelError, match="Choose another place"):
        save_model(small_model, tmp_path / "mine.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]


def test_a_model_saved_as_pt_comes_back_with_its_variant_and_card(
    small_model: Sam2Model, tmp_path: Path
) -> None:
    path = save_model(small_model, tmp_path / "mine.pt", {"data": "synthetic"})
    model = load_model(path, "cpu")
    assert holds(model, small_model.state_dict())
    assert model.variant == replace(CHANGED_NANO, image_size=128)
    assert read_card(path) == {"data": "synthetic"}


def test_a_model_is_saved_as_safetensors_or_pt_only(small_model: Sam2Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"\.safetensors or \.pt"):
        save_model(small_model, tmp_path / "mine.bin")


def test_a_card_cannot_pose_as_the_variant(small_model: Sam2Model, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="variant"):
        save_model(small_model, tmp_path / "mine.safetensors", {"variant": "sam2.1-large"})


def test_the_embedded_model_is_loaded_without_a_network(cache: Path) -> None:
    if find_weights("nano") is None:
        pytest.skip("this checkout has no embedded weights yet")
    model = load_model("nano", "cpu")
    assert model.variant.name == "nano"
    assert list(cache.iterdir()) == []


def test_the_cached_model_is_one_and_the_same(small_model: Sam2Model, tmp_path: Path) -> None:
    path = save_model(small_model, tmp_path / "mine.safetensors")
    first = cached_model(path, "cpu")
    assert cached_model(str(path), "cpu") is first
    assert cached_model(path, "cpu", image_size=64) is not first


def test_a_changed_file_is_loaded_anew(small_model: Sam2Model, tmp_path: Path) -> None:
    path = save_model(small_model, tmp_path / "mine.safetensors")
    first = cached_model(path, "cpu")
    os.utime(path, ns=(0, 0))
    assert cached_model(path, "cpu") is not first


def test_auto_takes_a_device_that_is_here(small_model: Sam2Model, tmp_path: Path) -> None:
    path = save_model(small_model, tmp_path / "mine.safetensors")
    best = "cuda" if torch.cuda.is_available() else "cpu"
    best = "mps" if best == "cpu" and torch.backends.mps.is_available() else best
    assert load_model(path).device.type == best


@pytest.mark.parametrize("device", ["cuda:99", "xpu", "toaster"])
def test_a_device_that_is_not_here_is_named_with_the_choice(device: str) -> None:
    with pytest.raises(ModelError, match=rf"{device}.*auto.*cpu"):
        load_model("nano", device)


def test_the_names_are_had_without_torch() -> None:
    code = "import sys, sam2_plugins.core.checkpoints; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True)
    assert run.stdout == "False\n", run.stderr


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_read_only_cache_serves_what_it_holds(
    cache: Path, tiny: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"model": tiny}, cache / "sam2.1_hiera_tiny.pt")
    content = (cache / "sam2.1_hiera_tiny.pt").read_bytes()
    with read_only_folder({"sam2.1_hiera_tiny.pt": content}) as folder:
        monkeypatch.setenv("SAM2_PLUGINS_CACHE", str(folder))
        assert holds(load_model("sam2.1-tiny", "cpu"), tiny)
        assert [path.name for path in folder.iterdir()] == ["sam2.1_hiera_tiny.pt"]
