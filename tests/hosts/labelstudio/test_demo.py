"""`sam2-plugins labelstudio demo`, as a person starts and stops it."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from sam2_plugins.labelstudio_backend import projects
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.local_server import free_port
from tests.hosts.labelstudio.conftest import ACCOUNT


def test_the_demo_makes_two_connected_projects_and_ctrl_c_stops_all(
    program: Path, database: Path, tmp_path: Path
) -> None:
    shutil.copytree(database, tmp_path / "data")
    (tmp_path / "account.json").write_text(json.dumps(dataclasses.asdict(ACCOUNT)))
    port = free_port()
    command = [sys.executable, "-m", "sam2_plugins", "labelstudio", "demo", "--folder", tmp_path]
    options = ["--label-studio", program, "--port", port]
    running = subprocess.Popen(
        [str(part) for part in (*command, *options)], stderr=subprocess.PIPE, text=True
    )
    try:
        said = []
        assert running.stderr is not None
        for line in running.stderr:
            said.append(line)
            if "Ctrl-C stops all" in line:
                break
        assert any(f"Log in as {ACCOUNT.email} with {ACCOUNT.password}" in line for line in said)
        server = LabelStudio(f"http://127.0.0.1:{port}", ACCOUNT.token)
        for project, key in ((1, "video"), (2, "frames")):
            (task,) = projects.tasks(server, project)
            assert task["data"][key]
            (backend,) = server.request("GET", f"/api/ml/?project={project}")
            assert (backend["state"], backend["is_interactive"]) == ("CO", True)
        running.send_signal(signal.SIGINT)
        running.wait(120)
    finally:
        running.kill()
    for url in (server.url, backend["url"]):
        try:
            httpx.get(f"{url}/health", timeout=5)
        except httpx.ConnectError:
            continue
        raise AssertionError(f"{url} still answers")
