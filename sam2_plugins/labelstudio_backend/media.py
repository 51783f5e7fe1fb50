"""From what a task's data says to a file on this machine."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from sam2_plugins.core import files
from sam2_plugins.labelstudio_backend.client import LabelStudio
from sam2_plugins.labelstudio_backend.download import Downloader
from sam2_plugins.labelstudio_backend.errors import MediaError
from sam2_plugins.labelstudio_backend.settings import Settings

FRESH = 60.0
"""Seconds for which a fetched file is taken for what it was, without asking."""

_CLOUDS = ("s3", "gs", "azure-blob")
_LOCAL_FILES = "/data/local-files/"
_NOTE = "validators.json"
_SAMPLE = 1 << 16


class MediaStore:
    """Files of tasks: local ones as they are, all others fetched once and kept while there is room.

    Parameters
    ----------
    settings
        Where they are kept, how much of them, and what may be read.
    """

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.folder / "media"
        self._room = int(settings.cache_gigabytes * 1e9)
        self._largest = int(settings.max_gigabytes * 1e9)
        self._roots = [Path(root).expanduser().resolve() for root in settings.roots]
        self._downloader = Downloader(self._largest, settings.allow_hosts)
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._checked: dict[str, float] = {}

    def get(self, url: str, task: int | None = None, server: LabelStudio | None = None) -> Path:
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

        Raises
        ------
        MediaError
            If it cannot be had.
        """
        if url.startswith("data:"):
            return self._from_data_url(url)
        if local := self._local(url):
            return local
        return self._fetched(self._address(url, task, server), server)

    def close(self) -> None:
        """Close the connections."""
        self._downloader.close()

    def _address(self, url: str, task: int | None, server: LabelStudio | None) -> str:
        scheme = urlsplit(url).scheme
        if scheme in ("http", "https"):
            return url
        if server is None or not server.url:
            raise MediaError(
                f"{url[:200]} is a file of Label Studio, whose address is not known: set "
                "LABEL_STUDIO_URL where the backend runs."
            )
        if scheme in _CLOUDS and task is not None:
            name = base64.urlsafe_b64encode(url.encode()).decode("ascii")
            return f"{server.url}/tasks/{task}/resolve/?fileuri={name}"
        if url.startswith("/"):
            prefix = urlsplit(server.url).path.rstrip("/")
            return server.url + (url.removeprefix(prefix) if prefix else url)
        raise MediaError(f"{url[:200]!r} is no address of a video or image.")

    def _local(self, url: str) -> Path | None:
        """Return a file below an allowed root, if the address names one."""
        parts = urlsplit(url)
        names = []
        if parts.path.endswith(_LOCAL_FILES):
            asked = parse_qs(parts.query).get("d", [""])[0]
            names = [root / asked.lstrip("/") for root in self._roots]
        elif not parts.scheme and not url.startswith("/data/"):
            names = [Path(unquote(url))]
        for name in names:
            try:
                path = name.resolve()
                if path.is_file() and any(path.is_relative_to(root) for root in self._roots):
                    return path
            except (OSError, ValueError, RuntimeError):
                continue
        return None

    def _fetched(self, url: str, server: LabelStudio | None) -> Path:
        parts = urlsplit(url)
        name = unquote(parse_qs(parts.query).get("d", [parts.path])[0]).rpartition("/")[2]
        key = hashlib.sha256(url.encode()).hexdigest()[:32]
        # Under its own name, which messages then tell.
        path = self._folder / key / (re.sub(r"[^\w.-]", "_", name)[-80:].lstrip(".") or "file")
        note = path.parent / _NOTE
        with self._locks[key]:
            there = path.is_file()
            if there and time.monotonic() - self._checked.get(key, -FRESH) < FRESH:
                return path
            known = _read_note(note) if there else {}
            with files.replacing(path) as fresh:
                told = self._downloader.fetch(url, fresh, server, known)
                if told is None:  # unchanged
                    os.link(path, fresh)
            if told is not None:
                files.write_text(note, json.dumps(told))
            _mark_used(path)
            self._checked[key] = time.monotonic()
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
        return path

    def _make_room(self, keep: Path) -> None:
        """Delete the files that were not asked for the longest while there are too many."""
        files = [path for path in self._folder.glob("*/*") if path.name != _NOTE]
        sizes = {path: path.stat() for path in files}
        total = sum(stat.st_size for stat in sizes.values())
        for path in sorted(files, key=lambda path: sizes[path].st_atime):
            if total <= self._room:
                break
            if path != keep and not path.name.startswith("."):
                total -= sizes[path].st_size
                shutil.rmtree(path.parent, ignore_errors=True)


def _read_note(path: Path) -> dict[str, str]:
    try:
        note = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return {str(k): str(v) for k, v in note.items()} if isinstance(note, Mapping) else {}


def _mark_used(path: Path) -> None:
    os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def fingerprint(path: Path) -> str:
    """Return what tells one file from another: its size, its beginning and its end."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        digest.update(file.read(_SAMPLE))
        file.seek(max(0, size - _SAMPLE))
        digest.update(file.read(_SAMPLE))
    return digest.hexdigest()
