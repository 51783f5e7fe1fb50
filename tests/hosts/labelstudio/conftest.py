"""A real Label Studio with a migrated database, the real backend, and a real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.local_server import Account, LocalServer
from sam2_plugins.labelstudio_backend.settings import Settings
from tests.hosts.labelstudio.editor import Browser
from tests.labelstudio_backend.web import Backend

ACCOUNT = Account("annotator@example.com", "a-password", "0123456789abcdef0123456789abcdef01234567")
CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def program() -> Path:
    """`label-studio` of its own environment."""
    root = Path(__file__).parents[3]
    default = root / ".venv-labelstudio-server" / "bin" / "label-studio"
    path = Path(os.environ.get("LABEL_STUDIO", default)).absolute()
    if not path.exists():
        pytest.skip(f"no Label Studio at {path}: `make test-labelstudio` installs it")
    return path


@pytest.fixture(scope="session")
def database(program: Path) -> Path:
    """A folder of a server that nobody has used yet, to be copied."""
    template = program.parents[1] / "database"
    if not (template / "ready").exists():  # its migrations take minutes
        shutil.rmtree(template, ignore_errors=True)
        with LocalServer(program, template, ACCOUNT):
            pass
        (template / "ready").touch()
    return template


@pytest.fixture(scope="session")
def label_studio(
    program: Path, database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalServer]:
    folder = tmp_path_factory.mktemp("label-studio")
    shutil.copytree(database, folder, dirs_exist_ok=True)
    with LocalServer(program, folder, ACCOUNT) as server:
        yield server


@pytest.fixture(scope="session")
def api(label_studio: LocalServer) -> LabelStudio:
    return label_studio.api


@pytest.fixture(scope="session")
def second_annotator(label_studio: LocalServer) -> LabelStudio:
    """The API for another user, who has signed up by the link that the first one gave."""
    email, password = "second@example.com", "another-password"
    invitation = label_studio.api.request("GET", "/api/invite")["invite_url"]
    with httpx.Client(base_url=label_studio.url, trust_env=False) as http:
        http.get(invitation)
        form = {"csrfmiddlewaretoken": http.cookies["csrftoken"]}
        http.post(invitation, data={**form, "email": email, "password": password})
        token = http.get("/api/current-user/token").raise_for_status().json()["token"]
    return LabelStudio(label_studio.url, token)


@pytest.fixture(scope="session")
def settings(label_studio: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    cache = str(tmp_path_factory.mktemp("backend"))
    return Settings(url=label_studio.url, api_key=ACCOUNT.token, cache=cache)


@pytest.fixture(scope="session")
def backend(settings: Settings) -> Iterator[Backend]:
    with Backend(settings) as running:
        yield running


@pytest.fixture(scope="session")
def browser(label_studio: LocalServer) -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no {CHROMIUM}: `make test-labelstudio` installs it")
    with Browser(CHROMIUM, label_studio.url) as opened:
        opened.log_in(ACCOUNT.email, ACCOUNT.password)
        yield opened
