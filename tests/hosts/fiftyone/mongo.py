"""A MongoDB of its own for a run of tests.

FiftyOne's own service is shared by all processes of a machine, whatever folder they name, so that
tests that run beside each other would see each other's datasets.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path


class Mongo:
    """A server in a folder; a context manager."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self.uri = ""

    def __enter__(self) -> Mongo:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        data = self._folder / "db"
        data.mkdir(parents=True)
        self._process = subprocess.Popen(
            [
                str(self._program),
                *("--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1"),
                *("--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"),
            ],
            stdout=(self._folder / "mongod.log").open("wb"),
            stderr=subprocess.STDOUT,
        )
        self.uri = f"mongodb://127.0.0.1:{port}"
        self._wait_for(port)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self._folder / "mongod.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise TimeoutError("mongod does not answer")


def find_mongod(site_packages: Path) -> Path | None:
    """Return the server that FiftyOne's database package brought; None without one."""
    path = site_packages / "fiftyone" / "db" / "bin" / "mongod"
    return path if os.access(path, os.X_OK) else None
