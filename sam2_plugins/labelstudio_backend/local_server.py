"""A Label Studio of one's own on this machine: in an environment of its own, with SQLite."""

from __future__ import annotations

import os
import re
import secrets
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.errors import ServerError

VERSION = "1.23.2"
PATIENCE = 900.0
"""Seconds for a first start, which makes the database; a later one takes ten or so."""
PORTS = 5
"""Ports that are tried."""
_IN_USE = re.compile(rb"port (\d+ )?is (already )?in use", re.IGNORECASE)  # in Label Studio's log


@dataclass(frozen=True)
class Account:
    """The account of the demo."""

    email: str = "demo@example.com"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(9))
    token: str = field(default_factory=lambda: secrets.token_hex(20))


def install_server(folder: Path) -> Path:
    """Return the program `label-studio` of an environment, made and filled if need be.

    Raises
    ------
    ServerError
        If pip cannot install it.
    """
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    program = scripts / "label-studio"
    if program.exists():
        return program
    python = scripts / "python"
    for command in (
        [sys.executable, "-m", "venv", str(folder)],
        [str(python), "-m", "pip", "install", "--quiet", f"label-studio=={VERSION}"],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        except (OSError, subprocess.CalledProcessError) as error:
            lines = str(getattr(error, "stderr", "") or error).strip().splitlines()
            raise ServerError(
                f"Label Studio cannot be installed in {folder}: {lines[-1]} Install it "
                "yourself, and name its program with --label-studio."
            ) from error
    return program


class LocalServer:
    """A Label Studio server as a child process; a context manager.

    Parameters
    ----------
    program
        `label-studio` of its environment.
    folder
        Of its data: the database, uploads, and `media`, which it serves as local files.
    account
        Who may log in, made on the first start.
    port
        To listen on, and where it is in use, another; a free one if 0.
    """

    def __init__(
        self, program: Path, folder: Path, account: Account | None = None, port: int = 0
    ) -> None:
        self.program = program
        self.folder = folder.resolve()
        self.account = account or Account()
        self.port = port or free_port()
        self.media = self.folder / "media"
        self.log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def api(self) -> LabelStudio:
        """Its API, for the account."""
        return LabelStudio(self.url, self.account.token)

    def __enter__(self) -> LocalServer:
        """Start it, and wait until it answers.

        Raises
        ------
        ServerError
            If it does not.
        """
        self.media.mkdir(parents=True, exist_ok=True)
        for _ in range(PORTS):
            self._start()
            try:
                if self._has_its_port():
                    return self
            except BaseException:
                self.stop()
                raise
            self.stop()
            self.port = free_port()
        raise ServerError(f"Label Studio finds no free port; see {self.log}.")

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _start(self) -> None:
        arguments = ["start", "--no-browser", "--internal-host", "127.0.0.1"]
        arguments += ["--port", str(self.port), "--host", self.url, "--data-dir", str(self.folder)]
        arguments += ["--username", self.account.email, "--password", self.account.password]
        arguments += ["--user-token", self.account.token, "--enable-legacy-api-token"]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [str(self.program), *arguments],
                env={**os.environ, **self._environment()},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is ours: we stop it when the backend has stopped
            )

    def _environment(self) -> dict[str, str]:
        return {
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.folder),
            "SECRET_KEY": self._secret(),
            "COLLECT_ANALYTICS": "false",
            "LATEST_VERSION_CHECK": "false",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            "FEATURE_FLAGS_OFFLINE": "true",
            # Both run on this machine, and nobody else reaches them.
            "ML_BLOCK_LOCAL_IP": "false",
            "SSRF_PROTECTION_ENABLED": "false",
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.media),
        }

    def _secret(self) -> str:
        path = self.folder / "secret"
        if not path.exists():
            path.touch(0o600)
            path.write_text(secrets.token_hex(32), encoding="utf-8")
        return path.read_text(encoding="utf-8")

    def _has_its_port(self) -> bool:
        """Wait until it answers; False if another program was faster, and has its port.

        Label Studio then goes on to a port that it chooses, with the wrong address in its pages.
        """
        end = time.monotonic() + PATIENCE
        with httpx.Client(trust_env=False, timeout=5) as http:
            while time.monotonic() < end:
                has_ended = self._process is None or self._process.poll() is not None
                if _IN_USE.search(self.log.read_bytes()):
                    return False
                if has_ended:
                    raise ServerError(f"Label Studio does not start; see {self.log}.")
                try:
                    if http.get(f"{self.url}/health").is_success:
                        return not _IN_USE.search(self.log.read_bytes())
                except httpx.HTTPError:
                    pass
                time.sleep(0.5)
        raise ServerError(f"Label Studio does not answer in {PATIENCE:.0f} s; see {self.log}.")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
