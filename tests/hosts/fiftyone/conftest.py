"""A real FiftyOne: its database, its plugins and its home belong to this run alone.

FiftyOne reads where they are when it is imported, so they are set here, before any test is.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.hosts.fiftyone.mongo import Mongo, find_mongod

_MONGOD = find_mongod(Path(sysconfig.get_path("purelib"))) if find_spec("fiftyone") else None

if _MONGOD is None:
    collect_ignore_glob = ["test_*.py"]
else:
    ROOT = Path(tempfile.mkdtemp(prefix="sam2-fiftyone-"))
    _SERVER = Mongo(_MONGOD, ROOT)
    _SERVER.__enter__()

    @atexit.register
    def _clean() -> None:  # after FiftyOne's own last words to the database
        _SERVER.__exit__()
        shutil.rmtree(ROOT, ignore_errors=True)

    os.environ |= {
        "HOME": str(ROOT / "home"),
        "FIFTYONE_DATABASE_URI": _SERVER.uri,
        "FIFTYONE_DATABASE_NAME": "tests",
        "FIFTYONE_DATABASE_VALIDATION": "false",
        "FIFTYONE_DEFAULT_DATASET_DIR": str(ROOT / "datasets"),
        "FIFTYONE_MODEL_ZOO_DIR": str(ROOT / "models"),
        "FIFTYONE_DATASET_ZOO_DIR": str(ROOT / "zoo"),
        "FIFTYONE_PLUGINS_DIR": str(ROOT / "plugins"),
        "FIFTYONE_DO_NOT_TRACK": "1",
        "FIFTYONE_SHOW_PROGRESS_BARS": "false",
    }
    from sam2_plugins.fiftyone_plugin.install import install

    install(ROOT / "plugins")

OPERATOR = "@sam2-plugins/sam2/"
FRAMES, HEIGHT, WIDTH = 24, 96, 128

Execute = Callable[..., Any]


def disc(frame: int, number: int) -> np.ndarray:
    """Disc 1 goes right, disc 2 goes left, one pixel a frame: bool [H, W]."""
    x, y = (30 + frame, 30) if number == 1 else (100 - frame, 66)
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    return (xs - x) ** 2 + (ys - y) ** 2 <= 11**2


def picture(frame: int) -> np.ndarray:
    """Bright discs on a dark ground: uint8 [H, W, 3]."""
    image = np.random.default_rng(frame).normal(40, 6, (HEIGHT, WIDTH, 3))
    for number, colour in ((1, (220, 200, 60)), (2, (90, 200, 220))):
        image[disc(frame, number)] = colour
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two discs that go past each other."""
    from sam2_plugins.core.frames import encode_video

    path = tmp_path_factory.mktemp("media") / "discs.mp4"
    return encode_video(path, (picture(frame) for frame in range(FRAMES)), 12)


@pytest.fixture
def dataset() -> Iterator[Any]:
    """An empty dataset that goes after the test; persistent, for other processes to see it."""
    import fiftyone as fo

    made = fo.Dataset(persistent=True)
    yield made
    made.delete()


@pytest.fixture
def movie(dataset: Any, video: Path) -> Any:
    """A dataset with one video; nothing is known of its frames."""
    import fiftyone as fo

    dataset.add_sample(fo.Sample(str(video)))
    return dataset


def label(number: int, frame: int, kind: str = "mask", **values: Any) -> Any:
    """A label of a disc as a person would make it; `frame` from 1."""
    import fiftyone as fo

    mask = disc(frame - 1, number)
    ys, xs = np.nonzero(mask)
    x0, y0, x1, y1 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
    values = {"label": "disc", "index": number} | values
    box = [x0 / WIDTH, y0 / HEIGHT, (x1 - x0) / WIDTH, (y1 - y0) / HEIGHT]
    if kind == "mask":
        return fo.Detection(bounding_box=box, mask=mask[y0:y1, x0:x1], **values)
    if kind == "box":
        return fo.Detection(bounding_box=box, **values)
    if kind == "point":
        return fo.Keypoint(points=[((x0 + x1) / 2 / WIDTH, (y0 + y1) / 2 / HEIGHT)], **values)
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    ring = [
        (((x0 + x1) / 2 + 11.4 * np.cos(a)) / WIDTH, ((y0 + y1) / 2 + 11.4 * np.sin(a)) / HEIGHT)
        for a in angle
    ]
    return fo.Polyline(points=[ring], closed=True, filled=True, **values)


def put(dataset: Any, frame: int, field: str, *labels: Any) -> None:
    """Put labels on a frame of the first sample."""
    import fiftyone as fo

    kinds = {fo.Detection: "Detections", fo.Keypoint: "Keypoints", fo.Polyline: "Polylines"}
    name = kinds[type(labels[0])]
    value = getattr(fo, name)(**{name.lower(): list(labels)})
    sample_id = dataset.first().id
    dataset.set_values(f"frames.{field}", {sample_id: {frame: value}}, key_field="id", dynamic=True)


def masks(dataset: Any, field: str = "sam2") -> dict[int, dict[int, np.ndarray]]:
    """Frame number to index to mask [H, W] of the first sample, as FiftyOne renders them."""
    found: dict[int, dict[int, np.ndarray]] = {}
    for number, frame in dataset.first().frames.items():
        for detection in frame[field].detections if frame[field] else ():
            shown = detection.to_segmentation(frame_size=(WIDTH, HEIGHT), target=1)
            found.setdefault(number, {})[detection.index] = shown.mask > 0
    return found


def elsewhere(dataset: Any, code: str) -> None:
    """Do something to a dataset in another process."""
    load = f"import fiftyone as fo; dataset = fo.load_dataset({dataset.name!r})"
    subprocess.run([sys.executable, "-c", f"{load}\n{code}"], check=True)


def overlap(mask: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union."""
    return float((mask & other).sum() / (mask | other).sum())


@pytest.fixture
def execute() -> Execute:
    """Run an operator of the plugin as FiftyOne does, from Python."""
    import fiftyone.operators as foo

    def execute(name: str, samples: Any, **params: Any) -> Any:
        import fiftyone as fo

        where = "dataset" if isinstance(samples, fo.Dataset) else "view"
        options = {
            key: params.pop(key) for key in ("selected", "request_delegation") if key in params
        }
        return foo.execute_operator(OPERATOR + name, {where: samples, "params": params, **options})

    return execute
