"""One URL into one file, over a network that breaks: resume, retry, and no glued versions.

Resuming follows RFC 9110: a `Range` request made conditional by `If-Range`, so that a file which
changed on the server is sent whole instead of being appended to the old part.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from sam2_plugins import __version__

Progress = Callable[[int, "int | None"], None]
"""Called with the bytes on disk so far and the total, if the server sent it."""

RETRY_WAITS = (1.0, 2.0, 4.0)
_TIMEOUT = 30.0
_CHUNK = 1 << 18
_TRANSIENT_STATUS = {408, 425, 429, 500, 502, 503, 504}


class TransferError(Exception):
    """A transfer that failed on the network's side; `transient` if trying again may help."""

    def __init__(self, reason: str, transient: bool) -> None:
        super().__init__(reason)
        self.transient = transient


def fetch(
    url: str, part: Path, on_progress: Progress | None = None, waits: Sequence[float] = RETRY_WAITS
) -> None:
    """Bring what `url` serves into the file `part`, going on where an earlier call stopped.

    Parameters
    ----------
    waits
        Seconds before each retry of a transient failure. They count anew after every attempt that
        brought the file further.

    Raises
    ------
    TransferError
        If the server cannot be reached, refuses, or keeps breaking off. `part` stays.
    OSError
        If `part` cannot be written. What was written stays.
    """
    furthest, failures = _size(part), 0
    while True:
        try:
            _attempt(url, part, on_progress)
            return
        except TransferError as error:
            reached = _size(part)
            failures = 1 if reached > furthest else failures + 1
            furthest = max(furthest, reached)
            if not error.transient or failures > len(waits):
                raise
            time.sleep(waits[failures - 1])


def discard(part: Path) -> None:
    """Remove a partial file and the note beside it."""
    part.unlink(missing_ok=True)
    _note_path(part).unlink(missing_ok=True)


@dataclass(frozen=True)
class _Body:
    """What a response carries: from which byte, of how many, and of which version."""

    start: int
    total: int | None
    version: str


def _attempt(url: str, part: Path, on_progress: Progress | None) -> None:
    held, version = _resumable(url, part)
    try:
        response = _open(url, held, version)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not held:
            raise _refusal(error) from error
        if error.headers.get("Content-Range") == f"bytes */{held}":
            return
        discard(part)
        return _attempt(url, part, on_progress)
    with response:
        body = _body(response.status, response.headers)
        if body.start and (body.start != held or body.version not in ("", version)):
            discard(part)
            return _attempt(url, part, on_progress)
        kept = version if body.start else body.version
        _note_path(part).write_text(json.dumps({"url": url, "version": kept}), encoding="utf-8")
        _receive(response, body, part, on_progress)


def _open(url: str, start: int, version: str) -> http.client.HTTPResponse:
    """Ask for `url` from byte `start`; HTTP refusals pass through, the rest is made plain."""
    request = urllib.request.Request(url, headers={"User-Agent": f"sam2_plugins/{__version__}"})  # noqa: S310
    if start:
        request.add_header("Range", f"bytes={start}-")
        request.add_header("If-Range", version)
    # urlopen would keep the proxies of its first call; a host may set them while it runs.
    opener = urllib.request.build_opener()
    try:
        return opener.open(request, timeout=_TIMEOUT)  # type: ignore[no-any-return]
    except urllib.error.HTTPError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _unreachable(url, error) from error


def _receive(
    response: http.client.HTTPResponse, body: _Body, part: Path, on_progress: Progress | None
) -> None:
    done = body.start
    with part.open("ab" if body.start else "wb") as file:
        while True:
            try:
                chunk = response.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise TransferError(
                    f"the connection broke after {done:,} bytes ({_text(error)})", transient=True
                ) from error
            if not chunk:
                break
            file.write(chunk)
            done += len(chunk)
            if on_progress:
                on_progress(done, body.total)
    if body.total is not None and done != body.total:
        raise TransferError(
            f"the server broke off after {done:,} of {body.total:,} bytes", transient=True
        )


def _body(status: int, headers: Message) -> _Body:
    # Weak ETags do not promise equal bytes, so they cannot vouch for a resumed file.
    etag = headers.get("ETag", "")
    version = headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
    length = headers.get("Content-Length")
    if status == http.HTTPStatus.PARTIAL_CONTENT:
        span = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", headers.get("Content-Range", ""))
        if span is None:
            raise TransferError("the server sent a part of the file without its place", False)
        return _Body(int(span[1]), int(span[3]), version)
    return _Body(0, int(length) if length else None, version)


def _resumable(url: str, part: Path) -> tuple[int, str]:
    """Return how many bytes of which version of `url` are held already; 0 if unsure."""
    try:
        note = json.loads(_note_path(part).read_text(encoding="utf-8"))
        if note["url"] == url and note["version"]:
            return _size(part), str(note["version"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass
    return 0, ""


def _refusal(error: urllib.error.HTTPError) -> TransferError:
    return TransferError(
        f"the server answered {error.code} {error.reason}{_through_proxy(error.url)}",
        error.code in _TRANSIENT_STATUS,
    )


def _unreachable(url: str, error: Exception) -> TransferError:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TransferError(
            f"the server's certificate is not trusted here ({cause.verify_message}); "
            "if a proxy of your network signs its own, name its certificate in SSL_CERT_FILE",
            transient=False,
        )
    refused = "Tunnel connection failed: 4" in str(cause)
    return TransferError(f"no connection ({_text(cause)}){_through_proxy(url)}", not refused)


def _through_proxy(url: str) -> str:
    """Name the proxy that `url` goes through, without the password that it may carry."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if not proxy or urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    named = f"{parts.scheme}_proxy={re.sub('//[^/@]*@', '//', proxy)}"
    return f", reached through the proxy that the environment names ({named}): is that right?"


def _text(error: object) -> str:
    return str(error) or type(error).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _note_path(part: Path) -> Path:
    return part.with_name(part.name + ".json")
