"""The image's entry point, as Docker would start it, and the services that go together.

Nothing here builds an image: that needs a Docker daemon and the network.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from sam2_plugins.labelstudio_backend.local_server import free_port

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def instructions(name: str) -> list[str]:
    return [
        line.split(" ", 1)[1] for line in DOCKERFILE.splitlines() if line.startswith(f"{name} ")
    ]


def variables() -> dict[str, str]:
    pairs = [word.split("=", 1) for line in instructions("ENV") for word in shlex.split(line)]
    return dict(pairs)


def as_here(command: list[str]) -> list[str]:
    """Return a command of the image with the programs of this environment."""
    python = Path(sys.executable)
    program = {"python": python, "sam2-plugins": python.parent / "sam2-plugins"}[command[0]]
    return [str(program), *command[1:]]


def test_the_entry_point_serves_is_healthy_and_stops_when_told(tmp_path):
    (entry,) = (json.loads(one) for one in instructions("ENTRYPOINT"))
    (check,) = (json.loads(one.partition("CMD ")[2]) for one in instructions("HEALTHCHECK"))
    environment = {**os.environ, **variables(), "HOST": "127.0.0.1", "PORT": str(free_port())}
    environment["SAM2_PLUGINS_CACHE"] = str(tmp_path)
    running = subprocess.Popen(as_here(entry), env=environment, cwd=tmp_path)
    try:
        end = time.monotonic() + 240
        while subprocess.run(as_here(check), env=environment, capture_output=True).returncode:
            assert running.poll() is None and time.monotonic() < end
            time.sleep(0.5)
        health = httpx.get(f"http://127.0.0.1:{environment['PORT']}/health", trust_env=False).json()
        assert (health["status"], health["model"]) == ("UP", "nano")
        running.send_signal(signal.SIGTERM)
        assert running.wait(120) in (0, 130, 143, -signal.SIGTERM)
    finally:
        running.kill()
    assert subprocess.run(as_here(check), env=environment, capture_output=True).returncode


def test_the_image_runs_as_nobody_in_particular_and_keeps_its_cache():
    assert instructions("USER") == ["1000"]
    assert instructions("VOLUME") == [variables()["SAM2_PLUGINS_CACHE"]]


def test_everything_that_is_copied_goes_into_the_build():
    copied = {word for line in instructions("COPY") for word in line.split()[:-1]}
    kept = set(re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)


def test_what_label_studio_keeps_from_its_first_start_is_in_a_file_that_git_leaves_alone():
    """A token of every start would be another than Label Studio's from the second one on."""
    told = (ROOT / "compose.yml").read_text()
    assert re.search(r"TOKEN=.*openssl.* > \.env$", told, re.MULTILINE)
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_services_fit_each_other_and_the_image():
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load((ROOT / "compose.yml").read_text())["services"]
    studio, backend = services["label-studio"], services["sam2"]
    assert backend["environment"]["LABEL_STUDIO_URL"] == "http://label-studio:8080"
    token = studio["environment"]["LABEL_STUDIO_USER_TOKEN"]
    assert backend["environment"]["LABEL_STUDIO_API_KEY"] == token
    assert backend["volumes"] == [f"sam2:{variables()['SAM2_PLUGINS_CACHE']}"]
    assert set(backend["build"]["args"]) <= {line.partition("=")[0] for line in instructions("ARG")}
