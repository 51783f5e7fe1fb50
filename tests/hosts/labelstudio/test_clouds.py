"""Media in cloud storage: Label Studio signs the address, the backend fetches the file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from sam2_plugins.labelstudio_backend import projects
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.formats.video_rectangle import interpolate, read_region
from sam2_plugins.labelstudio_backend.settings import Settings
from tests.hosts.labelstudio import movies
from tests.hosts.labelstudio.test_video import COUNT, RATE, box_on, disc_box, overlap
from tests.labelstudio_backend.web import Backend

BUCKET, KEY = "films", "a folder/discs.mp4"
SECRETS = {"aws_access_key_id": "a-key", "aws_secret_access_key": "a-secret"}


@pytest.fixture
def cloud() -> Iterator[str]:
    """An S3 of this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def project(api: LabelStudio, cloud: str, tmp_path: Path) -> int:
    """A project whose video is in the cloud."""
    movie = movies.write_movie(
        tmp_path / "discs.mp4", movies.discs(COUNT), movies.every(1000 / RATE, COUNT)
    )
    s3 = boto3.client("s3", endpoint_url=cloud, region_name="us-east-1", **SECRETS)
    s3.create_bucket(Bucket=BUCKET)
    s3.upload_file(str(movie), BUCKET, KEY)
    made = projects.create_project(api, "cloud", projects.video_config(["Cell"], RATE))
    storage: dict[str, Any] = {"project": made, "bucket": BUCKET, "s3_endpoint": cloud, **SECRETS}
    storage |= {"region_name": "us-east-1", "use_blob_urls": True, "recursive_scan": True}
    stored = api.request("POST", "/api/storages/s3/", storage)
    api.request("POST", f"/api/storages/s3/{stored['id']}/sync", {})
    return made


def ask(api: LabelStudio, settings: Settings, project: int) -> dict[str, Any]:
    """Draw a box on the first frame; return what comes back."""
    with Backend(settings) as backend:
        ml = projects.connect(api, project, backend.url)
        (task,) = projects.tasks(api, project)
        body = {"task": task["id"], "context": {"result": [box_on(1)]}}
        answer = api.request("POST", f"/api/ml/{ml}/interactive-annotating", body, timeout=150)
    (region,) = answer["data"]["result"]
    return dict(region)


def test_a_video_in_s3_is_tracked(api, settings, project, tmp_path):
    allowed = dataclasses.replace(
        settings, allow_hosts=("127.0.0.1",), cache=str(tmp_path / "cache")
    )
    keyframes = read_region(ask(api, allowed, project)).keyframes
    for frame in (1, 12, 24, COUNT):
        assert overlap(interpolate(keyframes, frame), disc_box(frame - 1)) > 0.8


def test_a_signed_address_leads_to_no_internal_host(api, settings, project, tmp_path):
    careful = dataclasses.replace(settings, cache=str(tmp_path / "cache"))
    region = ask(api, careful, project)
    assert len(region["value"]["sequence"]) == 1
    assert "internal network" in region["meta"]["text"][0]
