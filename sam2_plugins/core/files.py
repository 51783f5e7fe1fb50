"""Files that are either whole or as they were before."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from sam2_plugins.core.errors import ExportError


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
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise ExportError(
            f"{path} cannot be written: {error.strerror or error}. Choose another place, or make "
            "room there."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    # Names that are no Unicode, as old file systems have them, are spelt out; JSON reads that back.
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", errors="backslashreplace"))
