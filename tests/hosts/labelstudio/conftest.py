"""A real Label Studio with a migrated database, the real backend, and a real browser."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.local_server import Account, LocalServer, free_port
from sam2_plugins.labelstudio_backend.server import create_app
from sam2_plugins.labelstudio_backend.settings import Settings
from tests.hosts.labelstudio.editor import Browser

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


class Backend:
    """Our backend in a thread of this process."""

    def __init__(self, settings: Settings) -> None:
        self.engine = Engine(settings)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = uvicorn.Config(
            create_app(self.engine), port=port, log_level="warning", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> Backend:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


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
