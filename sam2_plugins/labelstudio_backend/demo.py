"""A Label Studio with a video, a time-lapse and this backend, ready to try."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from sam2_plugins.core.export import Subject, VideoWriter
from sam2_plugins.core.frames import open_frames
from sam2_plugins.demo.movie import PERCENTILES
from sam2_plugins.labelstudio_backend import projects
from sam2_plugins.labelstudio_backend.frame_stack import local_files_url, write_stack
from sam2_plugins.labelstudio_backend.local_server import Account, LocalServer

RATE = 10
LABELS = ["Cell", "Mitosis"]
STACK = "time-lapse"


@dataclass(frozen=True)
class DemoProject:
    """A project of the demo: its name, and where to see it."""

    title: str
    url: str


def write_video(movie: np.ndarray, path: Path, axes: str = "TYX", rate: float = RATE) -> None:
    """Write a movie as H.264, which browsers play."""
    frames = open_frames(movie, axes=axes, percentiles=PERCENTILES)
    writer = VideoWriter(path, Subject(frames, fps=rate))
    for frame in frames:
        writer.write(frame.index, frame.time, {})
    writer.close()


def make_projects(server: LocalServer, backend: str) -> list[DemoProject]:
    """Make the two projects of the demo, unless they are there; connect the backend to them."""
    from sam2_plugins.training.synthetic import sample_timelapse

    api = server.api
    there = {p["title"]: int(p["id"]) for p in api.request("GET", "/api/projects/")["results"]}
    titles = ("SAM 2: boxes on video", "SAM 2: masks on a time-lapse")
    if not set(titles) <= set(there):
        movie, _ = sample_timelapse(frames=40, size=384)
        there[titles[0]] = _video_project(server, titles[0], movie)
        there[titles[1]] = _stack_project(server, titles[1], movie)
    for title in titles:
        for old in api.request("GET", f"/api/ml/?project={there[title]}"):
            api.request("DELETE", f"/api/ml/{old['id']}")
        projects.connect(api, there[title], backend)
    return [DemoProject(t, f"{server.url}/projects/{there[t]}/data") for t in titles]


def _video_project(server: LocalServer, title: str, movie: np.ndarray) -> int:
    path = server.media / "nuclei.mp4"
    write_video(movie, path)
    project = projects.create_project(server.api, title, projects.video_config(LABELS, RATE))
    projects.upload(server.api, project, path)
    return project


def _stack_project(server: LocalServer, title: str, movie: np.ndarray) -> int:
    folder = server.media / STACK
    frames = open_frames(movie[:20], axes="TYX", percentiles=PERCENTILES)
    url = local_files_url(folder, server.media)
    if not folder.exists():
        for _ in write_stack(frames, folder, url=url, labels=LABELS):
            pass
    project = projects.create_project(server.api, title, projects.stack_config(LABELS))
    projects.serve_folder(server.api, project, folder)
    projects.upload(server.api, project, folder / "tasks.json")
    return project


def account_of(folder: Path) -> Account:
    """Return the account of a demo, the same one every time."""
    path = folder / "account.json"
    if path.exists():
        return Account(**json.loads(path.read_text(encoding="utf-8")))
    account = Account()
    folder.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.write_text(json.dumps(asdict(account)), encoding="utf-8")
    return account
