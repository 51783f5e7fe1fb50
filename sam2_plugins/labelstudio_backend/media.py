"""From the addresses in a task's data to files on this machine, and to their frames."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import os
import re
import shutil
import threading
import time
import warnings
from collections import OrderedDict
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from PIL import Image

from sam2_plugins.core import files
from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.files import digest_of
from sam2_plugins.core.frames import FrameSource, open_frames
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.download import LOCAL_FILES, Downloader, plain
from sam2_plugins.labelstudio_backend.errors import FormatError, MediaError, StillFetchingError
from sam2_plugins.labelstudio_backend.settings import Settings

FRESH = 60.0
"""Seconds for which a fetched file is used without asking its server for a newer one."""

_CLOUDS = ("s3", "gs", "azure-blob")
_NOTE = "validators.json"
_BLOCK = 1 << 20
_FETCHES = 100
"""Files that are fetched at once."""
_REMEMBERED = 10_000


class MediaStore:
    """Files of tasks: local ones as they are, others fetched once, kept while there is room."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.folder / "media"
        self._room = int(settings.cache_gigabytes * 1e9)
        self._largest = int(settings.max_gigabytes * 1e9)
        self._roots = [Path(root).expanduser().resolve() for root in settings.roots]
        self._most_pixels = settings.max_megapixels * 1e6
        self._downloader = Downloader(settings)
        self._lock = threading.Lock()
        self._fetching: dict[str, Future[Path]] = {}
        self._checked: OrderedDict[str, float] = OrderedDict()

    def get(
        self,
        url: Any,
        task: int | None = None,
        server: LabelStudio | None = None,
        until: float = math.inf,
    ) -> Path:
        """Return the file of an address.

        Parameters
        ----------
        url
            An upload or local file of Label Studio, an http(s), s3, gs or azure-blob address, a
            data URL, or a path below one of the allowed roots.
        task
            Through which Label Studio resolves addresses of cloud storage.
        server
            The Label Studio that the task is from.
        until
            When somebody wants an answer, on the monotonic clock. Fetching goes on after it.

        Raises
        ------
        FormatError
            If the task has no address.
        StillFetchingError
            If it is not there yet.
        MediaError
            If it cannot be had.
        """
        url = url.strip() if isinstance(url, str) else ""  # as the browser does
        if not url:
            raise FormatError(
                "The task has no address of its video or image where the labelling config expects "
                "it. Compare the config's value=\"$…\" with the task's data."
            )
        if url.startswith("data:"):
            return self._from_data_url(url)
        try:
            if local := self._local(url):
                return local
            address = self._address(url, task, server)
        except ValueError as error:
            raise MediaError(f"{url[:200]!r} is no address: {error}.") from error
        return self._fetched(address, server, until)

    def fingerprint(self, path: Path, *more: Path) -> str:
        """Return a digest of all bytes of files, worked out once while they are the same."""
        states = ((p, p.stat()) for p in (path, *more))
        prints = [_digest_of_file(p, s.st_size, s.st_mtime_ns, s.st_ino) for p, s in states]
        return digest_of("".join(prints)) if more else prints[0]

    def open(self, source: Path | list[Path]) -> FrameSource:
        """Open a picture, a video, or several pictures as pages.

        Raises
        ------
        MediaError
            If it has more pixels than this machine is to hold, or is no picture or video.
        """
        for path in [source] if isinstance(source, Path) else source:
            try:  # the header is read before anything is decoded
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    with Image.open(path) as image:
                        width, height = image.size
            except Image.DecompressionBombError as error:
                raise MediaError(f"{path.name} is too large: {error}") from error
            except Exception:  # noqa: S112 - `open_frames` reports what is wrong
                continue
            self._require_size(path.name, width, height)
        try:
            frames = open_frames(source)
        except Sam2PluginsError:
            raise
        except Exception as error:
            name = source.name if isinstance(source, Path) else "One of the task's pictures"
            raise MediaError(
                f"{name} cannot be read as a picture or video ({type(error).__name__}). Convert it "
                "to PNG, JPEG or MP4."
            ) from error
        self._require_size(frames.name, frames.width, frames.height)
        return frames

    def _require_size(self, name: str, width: int, height: int) -> None:
        if width * height > self._most_pixels:
            raise MediaError(
                f"{name} has {width}×{height} pixels, more than {self._most_pixels / 1e6:g} "
                "million. Make it smaller, or raise the limit (--max-megapixels)."
            )

    def _address(self, url: str, task: int | None, server: LabelStudio | None) -> str:
        scheme = urlsplit(url).scheme
        if scheme in ("http", "https"):
            return server.own_address(url) if server is not None else url
        if any(Path(url).is_relative_to(root) for root in self._roots):
            raise MediaError(
                f"There is no file {url[:200]}. Put it back, or correct the task's data."
            )
        if server is None or not server.url:
            raise MediaError(
                f"{url[:200]} is a file of Label Studio, whose address is not known: set "
                "LABEL_STUDIO_URL where the backend runs."
            )
        if scheme in _CLOUDS and task is not None:
            name = base64.urlsafe_b64encode(url.encode()).decode("ascii")
            return f"{server.url}/tasks/{task}/resolve/?fileuri={name}"
        if url.startswith("/"):
            return server.own_address(url)
        raise MediaError(f"{url[:200]!r} is no address of a video or image.")

    def _local(self, url: str) -> Path | None:
        """Return a file below an allowed root, if the address names one."""
        parts = urlsplit(url)
        names = []
        if parts.path.endswith(LOCAL_FILES):
            wanted = parse_qs(parts.query).get("d", [""])[0]
            names = [root / wanted.lstrip("/") for root in self._roots]
        elif not parts.scheme and not url.startswith("/data/"):
            names = [Path(url), Path(unquote(url))]
        for name in names:
            try:
                path = name.resolve()
                if path.is_file() and any(path.is_relative_to(root) for root in self._roots):
                    return path
            except (OSError, ValueError, RuntimeError):
                continue
        return None

    def _fetched(self, url: str, server: LabelStudio | None, until: float) -> Path:
        """Wait for a file, which is fetched once for all requests."""
        with self._lock:
            future = self._fetching.get(url)
            if future is None:
                if len(self._fetching) >= _FETCHES:
                    raise StillFetchingError(
                        f"{_FETCHES} other files are being fetched: try again in a while."
                    )
                future = self._fetching[url] = Future()
                thread = threading.Thread(
                    target=self._fetch, args=(url, server, future), name="fetch", daemon=True
                )
                thread.start()
        try:
            seconds = None if until == math.inf else max(0.0, until - time.monotonic())
            return future.result(seconds)
        except FutureTimeoutError as error:
            raise StillFetchingError(
                f"{_name_of(url)} is still being fetched: try again in a while."
            ) from error

    def _fetch(self, url: str, server: LabelStudio | None, future: Future[Path]) -> None:
        try:
            tell = partial(future.set_result, self._fetch_once(url, server))
        except Exception as error:
            tell = partial(future.set_exception, error)
        with self._lock:
            self._fetching.pop(url, None)
        tell()

    def _fetch_once(self, url: str, server: LabelStudio | None) -> Path:
        key = digest_of(url)
        # Under its own name, for messages.
        path = self._folder / key / _name_of(url)
        note = path.parent / _NOTE
        there = path.is_file()
        if there and time.monotonic() - self._checked.get(key, -FRESH) < FRESH:
            _mark_used(path)
            return path
        known = {k: str(v) for k, v in files.read_object(note).items()} if there else {}
        with files.replacing(path) as fresh:
            validators = self._downloader.fetch(url, fresh, server, known)
            if validators is None:  # unchanged
                os.link(path, fresh)
        if validators is not None:
            files.write_text(note, json.dumps(validators))
        _mark_used(path)
        with self._lock:
            self._checked[key] = time.monotonic()
            while len(self._checked) > _REMEMBERED:
                self._checked.popitem(last=False)
        self._make_room(keep=path)
        return path

    def _from_data_url(self, url: str) -> Path:
        head, _, body = url.partition(",")
        if not head.startswith(("data:image/", "data:video/")) or not head.endswith(";base64"):
            raise MediaError("A data URL of a task is no base64 image or video.")
        if len(body) * 3 / 4 > self._largest:
            raise MediaError(f"A data URL is larger than {self._largest / 1e9:g} GB.")
        try:
            data = base64.b64decode(body, validate=True)
        except binascii.Error as error:
            raise MediaError(f"A data URL of a task is damaged: {error}.") from error
        kind = head.removeprefix("data:").partition("/")[2].partition(";")[0]
        suffix = f".{kind}" if kind.isalnum() else ""
        path = self._folder / hashlib.sha256(data).hexdigest()[:32] / f"data-url{suffix}"
        if not path.is_file():
            with files.replacing(path) as fresh:
                fresh.write_bytes(data)
            self._make_room(keep=path)
        _mark_used(path)
        return path

    def _make_room(self, keep: Path) -> None:
        """Delete the least recently used files until the rest fit into the cache."""
        found = []
        for path in self._folder.glob("*/*"):
            if path.name != _NOTE and not path.name.startswith("."):
                with suppress(OSError):  # deleted meanwhile
                    found.append((path.stat(), path))
        total = sum(stat.st_size for stat, _ in found)
        for stat, path in sorted(found, key=lambda one: one[0].st_atime):
            if total <= self._room:
                break
            if path != keep:
                total -= stat.st_size
                shutil.rmtree(path.parent, ignore_errors=True)


@lru_cache(maxsize=_REMEMBERED)
def _digest_of_file(path: Path, *_state: int) -> str:
    digest = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _name_of(url: str) -> str:
    """Return a file name for an address: its last part, in characters that files may have."""
    name = unquote(plain(url)).rpartition("/")[2].removeprefix("?d=")
    return re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)[-80:].lstrip(".") or "file"


def _mark_used(path: Path) -> None:
    os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
