"""Web servers on this machine: the backend, and one with a few traps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import uvicorn

from sam2_plugins.labelstudio_backend.engine import Engine
from sam2_plugins.labelstudio_backend.server import create_app
from sam2_plugins.labelstudio_backend.settings import Settings
from sam2_plugins.labelstudio_backend.tracking import CLICK
from sam2_plugins.labelstudio_backend.work import Work
from tests.support.web import listening

Answer = tuple[int, dict[str, str], bytes]


class Web:
    """What is asked of the server, and where it is."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []


@contextmanager
def serving(answer: Callable[[str, dict[str, str], bytes], Answer]) -> Iterator[Web]:
    """Serve what a function answers to path, headers and body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            web.asked.append((self.command, self.path, headers, body))
            status, told, content = answer(self.path, headers, body)
            self.send_response(status)
            for name, value in {"content-length": str(len(content)), **told}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_DELETE = do_GET

    with listening(Handler) as url:
        web = Web(url)
        yield web


class Backend:
    """Our backend in a thread of this process."""

    def __init__(self, settings: Settings) -> None:
        self.engine = Engine(settings)
        config = uvicorn.Config(
            create_app(self.engine), port=0, log_level="warning", timeout_graceful_shutdown=1
        )
        listening = config.bind_socket()  # by ourselves: nobody takes the port in between
        self.port = listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],))

    def __enter__(self) -> Backend:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


def close_in_mid_track(work: Work) -> None:
    """Close the jobs while none has a turn on the processor: none comes to its end meanwhile."""
    closing = threading.Thread(target=work.jobs.close)
    with work.tracks.lane.turn(CLICK):
        closing.start()
        while not work.jobs.closing.is_set():
            time.sleep(0.01)
    closing.join()
