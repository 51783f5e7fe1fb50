"""Who is let in to the server, and how much at once."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
from collections.abc import Iterator, Mapping

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OPEN = ("/", "/health", "/webhook")


class BasicAuth:
    """Lets in who knows the user and the password, if there are some.

    Health is open to all, and so are webhooks, with which Label Studio sends no password: what
    they say is looked up.
    """

    def __init__(self, app: ASGIApp, user: str, password: str) -> None:
        self._app = app
        self._wanted = f"{user}:{password}".encode() if user or password else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        is_open = scope["type"] != "http" or scope["path"] in _OPEN
        if not self._wanted or is_open or self._knows(dict(scope["headers"])):
            await self._app(scope, receive, send)
            return
        headers = {"WWW-Authenticate": 'Basic realm="sam2-plugins"'}
        refusal = JSONResponse({"error": "User name and password are needed."}, 401, headers)
        await refusal(scope, receive, send)

    def _knows(self, headers: Mapping[bytes, bytes]) -> bool:
        kind, _, given = headers.get(b"authorization", b"").partition(b" ")
        try:
            credentials = base64.b64decode(given, validate=True)
        except binascii.Error:
            return False
        return kind.lower() == b"basic" and hmac.compare_digest(credentials, self._wanted)


class NoBrowsers:
    """Refuses what a page of some site makes a browser send: Label Studio is no browser.

    A page may have the browser of anyone who looks at it send a form or plain text anywhere, with
    its own address as `Origin`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        headers = dict(scope.get("headers", ()))
        if scope["type"] == "http" and scope["method"] == "POST" and not _is_own(headers):
            refusal = JSONResponse({"error": "Pages of other sites may not send this."}, 403)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


class BoundedBodies:
    """Bounds the bytes that all open requests have sent together, however slowly they come.

    Parameters
    ----------
    most
        Bytes of all bodies, each counted until its request is answered.
    """

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._most = most
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        taken = 0

        async def receive_if_there_is_room() -> Message:
            nonlocal taken
            message = await receive()
            size = len(message.get("body", b""))
            if self._held + size > self._most:
                raise Busy
            self._held += size
            taken += size
            return message

        try:
            await self._app(scope, receive_if_there_is_room, send)
        finally:
            self._held -= taken


class Busy(Exception):
    """The open requests are too many, or too large together."""


class OpenRequests:
    """Counts requests, and refuses those that are too many."""

    def __init__(self, most: int) -> None:
        self.count = 0
        self._most = most

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Count a request for the length of the block.

        Raises
        ------
        Busy
            If there are too many.
        """
        if self.count >= self._most:
            raise Busy
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1


def _is_own(headers: Mapping[bytes, bytes]) -> bool:
    kind = headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
    return b"origin" not in headers and kind == b"application/json"
