"""A real HTTP server on this machine that serves one file, and misbehaves when told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from tests.support.web import listening


@dataclass(frozen=True)
class Fault:
    """How one answer differs from a good one.

    `cut` ends the body early; `hold` first waits there until the server's gate opens.
    """

    status: int | None = None
    cut: int | None = None
    hold: bool = False
    ignores_range: bool = False
    ignores_if_range: bool = False
    chunked: bool = False


GOOD = Fault()


@dataclass
class WeightServer:
    """What is served, and what was asked for."""

    body: bytes
    etag: str | None = '"v1"'
    faults: list[Fault] = field(default_factory=list)
    always: Fault = GOOD
    gate: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range header of every request."""
    url: str = ""

    @property
    def ranges(self) -> list[str | None]:
        return [wanted for _, wanted in self.requests]


@contextmanager
def serving(server: WeightServer) -> Iterator[WeightServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            server.requests.append((self.path, None))
            self.send_error(403)

        def do_GET(self) -> None:
            server.requests.append((self.path, self.headers.get("Range")))
            self.close_connection = True
            fault = server.faults.pop(0) if server.faults else server.always
            if fault.status:
                self.send_error(fault.status)
                return
            start = self._start(fault)
            if start >= len(server.body) > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(server.body)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self._headers(fault, start)
            self._send(fault, server.body[start:])

        def _start(self, fault: Fault) -> int:
            wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
            if not wanted or fault.ignores_range:
                return 0
            if condition not in (None, server.etag) and not fault.ignores_if_range:
                return 0
            return int(wanted.removeprefix("bytes=").removesuffix("-"))

        def _headers(self, fault: Fault, start: int) -> None:
            total = len(server.body)
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            if server.etag:
                self.send_header("ETag", server.etag)
            if fault.chunked:
                self.send_header("Transfer-Encoding", "chunked")
            else:
                self.send_header("Content-Length", str(total - start))
            self.end_headers()

        def _send(self, fault: Fault, body: bytes) -> None:
            stop = len(body) if fault.cut is None else fault.cut
            try:
                if fault.chunked:
                    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
                    stop = len(body) if fault.cut is None else fault.cut
                self.wfile.write(body[:stop])
                if fault.hold:
                    server.gate.wait(60)
                    self.wfile.write(body[stop:])
            except OSError:
                pass  # the client went away, as some tests want

    with listening(Handler) as server.url:
        try:
            yield server
        finally:
            server.gate.set()
