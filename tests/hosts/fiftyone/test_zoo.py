"""Our models from FiftyOne's zoo, registered from an archive at an address, applied by FiftyOne."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fiftyone as fo
import fiftyone.zoo as foz
import numpy as np
import pytest
from PIL import Image

from sam2_plugins.core.variants import VARIANTS
from sam2_plugins.fiftyone_plugin.install import archive
from tests.hosts.fiftyone.conftest import disc, label, overlap, picture, put


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The archive of the plugin at an address, registered as a source of models."""
    folder = tmp_path_factory.mktemp("web")
    archive(folder / "plugin.zip")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/plugin.zip"
    foz.register_zoo_model_source(url)
    yield url
    server.shutdown()


def test_the_zoo_lists_every_model_for_images_and_for_videos(source: str) -> None:
    listed = {name for name in foz.list_zoo_models() if name.startswith("sam2-plugins-")}
    published = [name for name in VARIANTS if name == "nano" or name.startswith("sam2")]
    assert {f"sam2-plugins-{name}-{kind}" for name in published for kind in ("image", "video")} <= (
        listed
    )


def test_a_model_of_images_makes_masks_of_boxes(source: str, dataset: Any, tmp_path: Path) -> None:
    Image.fromarray(picture(0)).save(tmp_path / "a.png")
    boxes = fo.Detections(detections=[label(1, 1, "box")])
    dataset.add_sample(fo.Sample(str(tmp_path / "a.png"), boxes=boxes))
    model = foz.load_zoo_model("sam2-plugins-nano-image", device="cpu")
    dataset.apply_model(model, label_field="masks", prompt_field="boxes")
    (one,) = dataset.first().masks.detections
    shown = one.to_segmentation(frame_size=(128, 96), target=1).mask > 0
    assert overlap(shown, disc(0, 1)) > 0.8


def test_a_model_of_videos_tracks_from_a_frame(source: str, movie: Any) -> None:
    put(movie, 20, "seed", label(1, 20))
    model = foz.load_zoo_model("sam2-plugins-nano-video", device="cpu")
    labels = model_labels(model, movie)
    assert sorted(labels) == list(range(20, 25))
    (last,) = labels[24].detections
    shown = last.to_segmentation(frame_size=(128, 96), target=1).mask > 0
    assert overlap(shown, disc(23, 1)) > 0.75


@pytest.mark.parametrize(("direction", "wanted"), [("forward", [4, 5, 6]), ("backward", [3, 4])])
def test_a_model_of_videos_keeps_to_a_clip(
    source: str, movie: Any, direction: str, wanted: list[int]
) -> None:
    put(movie, 4, "seed", label(1, 4))
    model = foz.load_zoo_model("sam2-plugins-nano-video", device="cpu", direction=direction)
    assert sorted(model_labels(model, movie.to_clips([[(3, 6)]]))) == wanted


def test_a_video_without_prompts_does_not_end_the_work_on_the_others(
    source: str, movie: Any
) -> None:
    put(movie, 1, "seed", label(1, 1))
    model = foz.load_zoo_model("sam2-plugins-nano-video", device="cpu")
    for view, frame in ((movie.set_field("frames.seed", None), 1), (movie.to_clips([[(3, 4)]]), 3)):
        (given,) = model_labels(model, view).items()
        assert (given[0], given[1].detections) == (frame, [])


def test_values_of_a_segmentation_keep_their_names(source: str, movie: Any) -> None:
    value = {1: fo.Segmentation(mask=disc(0, 1) * np.uint8(3))}
    movie.set_values("frames.seed", {movie.first().id: value}, key_field="id")
    movie.mask_targets = {"frames.seed": {3: "cat"}}
    model = foz.load_zoo_model("sam2-plugins-nano-video", device="cpu")
    (one,) = model_labels(model, movie.to_clips([[(1, 1)]]))[1].detections
    assert (one.label, one.index) == ("cat", 3)


def model_labels(model: Any, samples: Any) -> dict[int, Any]:
    """Apply it as FiftyOne does, whose reader of videos wants ffmpeg."""
    model.needs_fields = {"prompt_field": "frames.seed"}
    return dict(model.predict(None, sample=samples.first()))
