"""Whether a real Label Studio gets everything back: batches with a bad task, damaged requests.

    python -m benchmarks.labelstudio_load LABEL_STUDIO [DATABASE]

LABEL_STUDIO is the program of its own environment; DATABASE a folder of a server that nobody has
used yet, which saves the minutes of a first start. Retrieves predictions of 100 pictures and of 30
videos, one of each kind damaged, with so little time to answer that most are stored afterwards;
sends damaged requests; tracks one object of a video, and four in four requests and in one.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from sam2_plugins.labelstudio_backend import projects
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.local_server import LocalServer
from sam2_plugins.labelstudio_backend.settings import Settings
from tests.hosts.labelstudio import movies
from tests.hosts.labelstudio.conftest import ACCOUNT
from tests.labelstudio_backend.web import Backend

FRAMES, RATE = 12, 25
REQUESTS, PATIENCE = 600, 900
ODD: list[Any] = [
    None, True, -1, 0, 10**400, 1e308, float("inf"), float("nan"), "", "\ud800", "$video", [], {},
    [None], {"a": None}, 2**63, "\x00", "../..",
]  # fmt: skip


def box(frame: int, width: float, height: float) -> dict[str, float]:
    x, y = movies.disc_at(frame)
    return {
        "x": (x - 20) * 100 / width,
        "y": (y - 20) * 100 / height,
        "width": 4000 / width,
        "height": 4000 / height,
        "rotation": 0,
    }


def video_box(region: str, frame: int = 0) -> dict[str, Any]:
    key = {**box(frame, 320, 240), "frame": frame + 1, "enabled": True, "time": (frame + 1) / RATE}
    value = {
        "framesCount": FRAMES,
        "duration": FRAMES / RATE,
        "labels": ["Cell"],
        "sequence": [key],
    }
    about = {"id": region, "from_name": "box", "to_name": "video", "type": "videorectangle"}
    return {**about, "value": value}


def area() -> dict[str, Any]:
    about = {"id": "a", "from_name": "area", "to_name": "image", "type": "rectanglelabels"}
    return {**about, "value": {**box(0, 320, 240), "rectanglelabels": ["Cell"]}}


def batch(
    api: LabelStudio, backend: str, config: str, media: list[Path], drawn: dict[str, Any], key: str
) -> tuple[int, int, float]:
    """Retrieve predictions of tasks with one box each; return how many are stored, of how many."""
    project = projects.create_project(api, f"batch of {key}", config)
    projects.serve_folder(api, project, media[0].parent)
    where = f"/data/local-files/?d={media[0].parent.name}"
    projects.import_tasks(
        api,
        project,
        [
            {"data": {key: f"{where}/{path.name}"}, "annotations": [{"result": [drawn]}]}
            for path in media
        ],
    )
    projects.connect(api, project, backend)
    began = time.monotonic()
    action = f"/api/dm/actions/?id=retrieve_tasks_predictions&project={project}"
    chosen = {"selectedItems": {"all": True, "excluded": []}}
    api.request("POST", action, chosen, timeout=200)
    while True:
        stored = sum(task["total_predictions"] > 0 for task in projects.tasks(api, project))
        seconds = time.monotonic() - began
        if stored == len(media) or seconds > PATIENCE:
            return stored, len(media), seconds
        time.sleep(5)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    inside = value.items() if isinstance(value, dict) else []
    inside = enumerate(value) if isinstance(value, list) else inside
    return [path, *(p for key, part in inside for p in places(part, (*path, key)))]


def damaged(rng: random.Random, body: dict[str, Any]) -> dict[str, Any]:
    body = copy.deepcopy(body)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        *way, last = rng.choice([place for place in places(body) if place])
        part: Any = body
        for key in way:
            part = part[key]
        if rng.random() < 0.15:
            del part[last]
        else:
            part[last] = rng.choice(ODD)
        if not body:
            break
    return body


def attack(url: str, video: Path, picture: Path) -> tuple[Counter[int], float]:
    def body(config: str, task: dict[str, Any], results: list | None) -> dict[str, Any]:
        context = None if results is None else {"result": results}
        return {"tasks": [task], "project": "9.1", "label_config": config,
                "params": {"context": context}}  # fmt: skip

    videos, images = projects.video_config(["Cell"], RATE), projects.image_config(["Cell"])
    shown = {"id": 1, "data": {"video": str(video), "image": str(picture)}}
    saved = {**shown, "annotations": [{"updated_at": "2026", "result": [video_box("a"), area()]}]}
    bodies = [
        body(videos, shown, [video_box("a")]),
        body(videos, saved, None),
        body(images, shown, [area()]),
        body(images, saved, None),
    ]
    rng, statuses, slowest = random.Random(0), Counter(), 0.0
    with httpx.Client(base_url=url, timeout=100, trust_env=False) as http:
        for _ in range(REQUESTS):
            began = time.monotonic()
            sent = json.dumps(damaged(rng, rng.choice(bodies)))
            kind = {"content-type": "application/json"}
            statuses[http.post("/predict", content=sent, headers=kind).status_code] += 1
            slowest = max(slowest, time.monotonic() - began)
    return statuses, slowest


def tracks(url: str, videos: list[Path]) -> tuple[float, float, float]:
    """Return seconds for one object, for four in four requests at once, and for four in one.

    Each is of a video of its own, of which nothing is known yet.
    """

    def send(project: str, video: Path, regions: list[dict[str, Any]]) -> None:
        body = {"tasks": [{"id": 1, "data": {"video": str(video)}}], "project": project}
        body |= {"label_config": projects.video_config(["Cell"], RATE)}
        context = {"params": {"context": {"result": regions}}}
        httpx.post(f"{url}/predict", json={**body, **context}, timeout=600, trust_env=False)

    def timed(video: Path, *requests: list[int]) -> float:
        each = [
            threading.Thread(
                target=send, args=(f"{n}.4", video, [video_box(str(k), k) for k in frames])
            )
            for n, frames in enumerate(requests)
        ]
        began = time.monotonic()
        for thread in each:
            thread.start()
        for thread in each:
            thread.join()
        return time.monotonic() - began

    timed(videos[0], [0])  # loads the model
    first, second, third = videos[1:4]
    return (
        timed(first, [0]),
        timed(second, [0], [1], [2], [3]),
        timed(third, [0, 1, 2, 3]),
    )


def main(program: str, database: str = "") -> None:
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        if database:
            shutil.copytree(database, root / "server")
        with LocalServer(Path(program), root / "server", ACCOUNT) as server:
            pictures, videos = server.media / "pictures", server.media / "videos"
            pictures.mkdir(), videos.mkdir()
            images = movies.discs(FRAMES)
            for n in range(100):
                noise = np.random.default_rng(n).integers(0, 4, images[0].shape)
                Image.fromarray((images[0] + noise).clip(0, 255).astype(np.uint8)).save(
                    pictures / f"{n:03d}.png"
                )
            Image.new("1", (12_000, 12_000)).save(pictures / "050.png")
            times = movies.every(1000 / RATE, FRAMES)
            for n in range(30):
                movies.write_movie(videos / f"{n:02d}.mp4", np.roll(images, n, 1), times)
            (videos / "15.mp4").write_bytes(b"no video")
            settings = Settings(
                url=server.url,
                api_key=ACCOUNT.token,
                cache=str(root / "cache"),
                roots=(str(server.media),),
                answer_within=5,
            )
            with Backend(settings) as backend:
                api = server.api
                config = projects.image_config(["Cell"])
                found = batch(api, backend.url, config, sorted(pictures.iterdir()), area(), "image")
                print("pictures: {} of {} stored, in {:.0f} s".format(*found), flush=True)
                config = projects.video_config(["Cell"], RATE)
                boxes = video_box("a")
                found = batch(api, backend.url, config, sorted(videos.iterdir()), boxes, "video")
                print("videos: {} of {} stored, in {:.0f} s".format(*found), flush=True)
            slow = dataclasses.replace(settings, url="", api_key="", answer_within=80)
            with Backend(slow) as backend:
                one, apart, together = tracks(backend.url, sorted(videos.iterdir())[:4])
                print(f"a track: {one:.1f} s; four: {apart:.1f} s at once, {together:.1f} s in one")
                statuses, slowest = attack(backend.url, videos / "00.mp4", pictures / "000.png")
                said = ", ".join(f"{count} × {status}" for status, count in statuses.items())
                print(f"{REQUESTS} damaged requests: {said}; slowest {slowest:.1f} s", flush=True)
                health = httpx.get(f"{backend.url}/health", trust_env=False).json()
                print(f"memory after them: {health['megabytes']} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
