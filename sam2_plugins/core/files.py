"""Files that are either whole or as they were before, and telling whether one has changed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from sam2_plugins.core.errors import ExportError

_BLOCK = 1 << 20
_READ_AT_MOST = 4096
"""Blocks of a file that `content_digest` reads: of one above 4 GB, so many at even distances."""


_TORN = re.compile(r"inline_container|PytorchStreamWriter|iostream error")
"""Messages of torch where it could not write all of a file."""


_TEMPORARY = re.compile(r"\.(.+)-[0-9a-f]{8}((?:\.\w+)?)")


@contextlib.contextmanager
def naming(
    path: Path, also: tuple[type[Exception], ...] = (), chosen_by: str = ""
) -> Iterator[None]:
    """Turn errors of the operating system, and of the kinds `also`, into one that names the file.

    Parameters
    ----------
    chosen_by
        Name of what the place is chosen with, if it is not plain.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    kinds: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except kinds as error:
        raise _unwritten(path, error, chosen_by) from error
    except RuntimeError as error:
        if not _TORN.search(str(error)):
            raise
        raise _unwritten(
            path, OSError(errno.ENOSPC, "the disk is full, or went away"), ""
        ) from error


def _unwritten(path: Path, error: Exception, chosen_by: str) -> ExportError:
    reason, mend = getattr(error, "strerror", None) or error, ", or make room there"
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        mend = ", or make its folder writable"
    elif number in (errno.EEXIST, errno.ENOTDIR):
        reason, mend = "a file is where a folder has to be", ""
    place = f"another place with {chosen_by}" if chosen_by else "another place"
    return ExportError(
        f"{path} cannot be written: {reason}. Choose {place}{mend}; what was written before is "
        "kept."
    )


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes its place if the block ends well.

    Raises
    ------
    ExportError
        If the file cannot be written; what was there before is untouched.
    """
    path = Path(path)
    # Beside the target, for os.replace works within one file system only.
    temporary = path.with_name(f".{path.stem}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        with naming(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def replaced_by(name: str) -> str:
    """Return the file for which a temporary one of `replacing` stands; any other is itself."""
    match = _TEMPORARY.fullmatch(name)
    return name if match is None else f"{match[1]}{match[2]}"


def require_free(paths: Iterable[Path], overwrite: bool = False) -> None:
    """Refuse to replace what is there, and places that cannot be written: before any work is done.

    Parameters
    ----------
    overwrite
        Whether files and folders may be replaced; links never are.

    Raises
    ------
    ExportError
        If something is in the way, or nothing may be written there. An empty folder is not in the
        way.
    """
    for path in paths:
        with naming(path):
            place = next(one for one in path.absolute().parents if one.exists())
            if not place.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            place = path if path.is_dir() else place
            if not os.access(place, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if path.is_symlink():
            raise ExportError(
                f"{path} is a link, and what it points to is not to be replaced. Remove the link, "
                "or choose another place."
            )
        is_folder = path.is_dir()
        if not overwrite and (any(path.iterdir()) if is_folder else path.exists()):
            raise ExportError(
                f"{path} is {'not empty' if is_folder else 'there already'}, and what is there is "
                "replaced only with --overwrite (in Python, overwrite=True). Or choose another "
                "place."
            )


def require_writable(folder: Path, chosen_by: str = "") -> None:
    """Make a folder, and a file in it that is gone at once: before any work is done for it.

    Raises
    ------
    ExportError
        If it cannot be made, or nothing can be written there.
    """
    with naming(folder, chosen_by=chosen_by):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def require_empty(folder: Path) -> None:
    """Refuse a folder in which something else is.

    Raises
    ------
    ExportError
        If it is there, and not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ExportError(f"{folder} is not empty. Choose another folder.")


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    # Names that are no Unicode, as old file systems have them, are spelt out; JSON reads that back.
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one if it cannot be read or is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def digest_of(text: str, length: int = 32) -> str:
    """Return hexadecimal digits that tell a text from any other, damaged characters included."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:length]


def signature(*paths: Path, strict: bool = False) -> str:
    """Return what changes when somebody writes to files, or to one in a folder; "" if one is gone.

    Nothing is read: names, sizes and times of writing tell. Where it is strict, so do the times of
    the last change, which nobody can set, but which renaming sets too.
    """
    if not paths or not all(map(os.path.lexists, paths)):
        return ""
    facts: list[object] = [paths[0].is_symlink(), paths[0].is_dir()]
    for name, file in _files_of(paths):
        state = file.stat()
        facts += [name, state.st_size, state.st_mtime_ns]
        facts += [state.st_ino, state.st_ctime_ns] if strict else []
    return digest_of(repr(facts))


def content_digest(*paths: Path) -> str:
    """Return a digest of what a file, a folder or several files hold, wherever they are.

    Of several files, and of those in a folder, the names count too; times do not.
    """
    digest = hashlib.sha256()
    for name, file in _files_of(paths):
        size = file.stat().st_size
        digest.update(repr((name, size)).encode())
        blocks = -(-size // _BLOCK)
        step = max(1, blocks / _READ_AT_MOST)
        with file.open("rb") as opened:
            for index in range(min(blocks, _READ_AT_MOST)):
                opened.seek(int(index * step) * _BLOCK)
                digest.update(opened.read(_BLOCK))
    return digest.hexdigest()


def _files_of(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Return all files with their names below what holds them, in the same order every time."""
    root = paths[0] if len(paths) == 1 else Path(os.path.commonpath([p.parent for p in paths]))
    files: list[Path] = []
    for path in paths:
        files += (one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return [(file.relative_to(root).as_posix(), file) for file in sorted(files)]
