"""Fetching the files that a task names, but none from this machine or its internal network.

The author of a task chooses its addresses. So the host is looked up once, refused if it is on
an internal network, and that very address is connected to; a redirect is a new address; and the
authorisation for Label Studio goes to Label Studio alone.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qs, urljoin

import httpx

from sam2_plugins.labelstudio_backend.client import LabelStudio, trusting
from sam2_plugins.labelstudio_backend.errors import MediaError
from sam2_plugins.labelstudio_backend.settings import Settings

REDIRECTS = 5
LOCAL_FILES = "/data/local-files/"
_SIGNED = re.compile(r"[?&](x-amz-|x-goog-|signature=|sig=|expires=)", re.IGNORECASE)
_PATIENCE = httpx.Timeout(30.0, connect=10.0)

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Downloader:
    """Fetches files over HTTP, through a proxy but for Label Studio and allowed hosts."""

    def __init__(self, settings: Settings) -> None:
        self._max_bytes = int(settings.max_gigabytes * 1e9)
        self._allowed = {host.lower() for host in settings.allow_hosts}
        self._ca_file = settings.ca_file
        self._proxy = settings.proxy
        self._seconds = settings.fetch_within

    def fetch(
        self, url: str, target: Path, server: LabelStudio | None, validators: dict[str, str]
    ) -> dict[str, str] | None:
        """Write a file to `target`, unless it is unchanged by the validators.

        Returns
        -------
        dict or None
            Headers of the next request for it; None if it has not changed.

        Raises
        ------
        MediaError
            If it cannot be had, is too large, or is a page instead of a file.
        """
        until = time.monotonic() + self._seconds
        for _ in range(REDIRECTS + 1):
            with self._get(url, server, validators, until) as answer:
                if answer.has_redirect_location:
                    url = urljoin(url, answer.headers["location"])
                    if server is not None:
                        url = server.own_address(url)
                    continue
                if answer.status_code == httpx.codes.NOT_MODIFIED:
                    return None
                _check(answer, url)
                self._write(answer, url, target)
                return _validators(answer)
        raise MediaError(f"{plain(url)} redirects more than {REDIRECTS} times.")

    @contextmanager
    def _get(
        self, url: str, server: LabelStudio | None, headers: dict[str, str], until: float
    ) -> Iterator[httpx.Response]:
        try:
            parts = httpx.URL(url)
        except (httpx.InvalidURL, ValueError) as error:
            raise MediaError(f"{plain(url)} is no address: {error}.") from error
        if parts.scheme not in ("http", "https") or not parts.host:
            raise MediaError(
                f"{plain(url)} cannot be fetched: give an upload, a file of a storage that is "
                "connected to Label Studio, or an http address."
            )
        headers = dict(headers)
        extensions = {}
        proxy = None
        if server is not None and server.owns(url):
            headers |= server.headers()
        elif parts.host.lower() not in self._allowed:
            address = _public_address(parts.host, bool(self._proxy))
            proxy = self._proxy or None
            if address and not proxy:
                headers["Host"] = parts.netloc.decode("ascii")
                extensions["sni_hostname"] = parts.host
                parts = parts.copy_with(host=address)
        client = httpx.Client(
            timeout=_PATIENCE,
            follow_redirects=False,
            trust_env=False,
            verify=trusting(self._ca_file),
            proxy=proxy,
        )
        # A server that sends a byte now and then keeps every timeout of a single read.
        watch = threading.Timer(max(0.0, until - time.monotonic()), client.close)
        watch.daemon = True
        watch.start()
        try:
            with (
                client,
                client.stream("GET", parts, headers=headers, extensions=extensions) as answer,
            ):
                yield answer
        except (httpx.HTTPError, httpx.StreamError, OSError, RuntimeError) as error:
            if time.monotonic() >= until:
                raise MediaError(
                    f"{plain(url)} takes longer than {self._seconds:.0f} s to fetch. Put the file "
                    "where it is faster, or raise the limit (--fetch-within)."
                ) from error
            raise MediaError(
                f"{plain(url)} cannot be fetched: {str(error) or type(error).__name__}."
            ) from error
        finally:
            watch.cancel()

    def _write(self, answer: httpx.Response, url: str, target: Path) -> None:
        length = answer.headers.get("content-length", "")
        too_large = MediaError(
            f"{plain(url)} is larger than {self._max_bytes / 1e9:g} GB. Raise the limit "
            "(--max-gigabytes), or cut the video."
        )
        if length.isdecimal() and int(length) > self._max_bytes:
            raise too_large
        with target.open("wb") as file:
            for chunk in answer.iter_bytes():
                if file.tell() + len(chunk) > self._max_bytes:
                    raise too_large
                file.write(chunk)
        if not target.stat().st_size:
            raise MediaError(f"{plain(url)} is empty. Upload it again.")


def _check(answer: httpx.Response, url: str) -> None:
    """Raise what a person can do about an answer that is no file."""
    status, page = answer.status_code, answer.headers.get("content-type", "")
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        mend = (
            "For files of Label Studio, set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY where the "
            "backend runs."
        )
        if _SIGNED.search(url):
            mend = "Its signature may have ended: give the task a new address."
        raise MediaError(f"{plain(url)} is refused ({status}). {mend}")
    if status == httpx.codes.NOT_FOUND:
        raise MediaError(f"{plain(url)} is not there (404). Check the task's data.")
    if not answer.is_success:
        raise MediaError(f"{plain(url)} cannot be fetched: the server answers {status}.")
    if page.startswith("text/html"):
        raise MediaError(
            f"{plain(url)} is a web page instead of a file, perhaps one to log in on. Set "
            "LABEL_STUDIO_API_KEY where the backend runs, or check the address."
        )


def _validators(answer: httpx.Response) -> dict[str, str]:
    """Headers of the next request, by which the server knows whether the file has changed."""
    conditions = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
    return {to: answer.headers[name] for name, to in conditions.items() if name in answer.headers}


def _public_address(host: str, by_proxy: bool) -> str:
    """Return an address of a host on no internal network; "" if only a proxy knows the host."""
    try:
        addresses = addresses_of(host)
    except (OSError, UnicodeError) as error:
        if by_proxy and not isinstance(error, UnicodeError):
            return ""
        raise MediaError(
            f"There is no host called {host!r}: {error}. If a proxy knows it, name it: --proxy."
        ) from error
    if any(map(is_internal, addresses)):
        raise MediaError(
            f"{host} is on an internal network, where a task must not send this server. If it "
            f"is meant to, allow it: --allow-host {host}."
        )
    return str(addresses[0])


def addresses_of(host: str) -> list[Address]:
    """Look a host up.

    Raises
    ------
    OSError, UnicodeError
        If there is none of that name.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    return [getattr(address, "ipv4_mapped", None) or address for address in addresses]


def is_internal(address: Address) -> bool:
    """Whether an address is one of this machine or of its own network."""
    return not address.is_global or address.is_multicast


def plain(url: str) -> str:
    """Leave out of an address what may be secret: its query, and a user's password.

    Of Label Studio's own addresses, the query has the name of the file, which stays.
    """
    whole, _, query = url.partition("?")
    names = parse_qs(query)
    if whole.endswith("/resolve/") and "fileuri" in names:
        with suppress(ValueError):
            return base64.urlsafe_b64decode(names["fileuri"][0]).decode()
    scheme, slashes, rest = whole.partition("://")
    host, slash, path = rest.partition("/")
    file = f"?d={names['d'][0]}" if whole.endswith(LOCAL_FILES) and "d" in names else ""
    return scheme + slashes + host.rpartition("@")[2] + slash + path + file
