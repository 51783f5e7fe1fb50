"""What a file is by its first bytes, whatever it is called."""

from __future__ import annotations

import re
from pathlib import Path

_SIGNATURES = {
    "tiff": rb"(?:II[*+]\0|MM\0[*+])",
    "array": rb"\x93NUMPY",
    "zip": rb"PK\x03\x04",
    "image": (
        rb"\x89PNG|\xff\xd8\xff|RIFF....WEBP|....ftypavi[fs]|BM....\0\0\0\0|P[1-6]\s"
        rb"|\0\0\0\x0cjP|\xff\x4f\xff\x51"
    ),
    "movie": (
        rb"GIF8|....(?:ftyp|moov|mdat|wide)|RIFF....AVI |\x1aE\xdf\xa3|OggS|FLV\x01"
        rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11|\0\0\x01[\xb3\xba]|G.{187}G"
    ),
}
_KINDS = {kind: re.compile(signature, re.DOTALL) for kind, signature in _SIGNATURES.items()}
_STREAMS_OF_JPEG = {".mjpeg", ".mjpg"}  # each begins as a picture does


def head_of(path: Path) -> bytes:
    """Read the bytes by which a file is known."""
    with path.open("rb") as file:
        return file.read(512)


def kind_of(path: Path) -> str | None:
    """Return "tiff", "array", "zip", "image" or "movie"; None if the content is not known.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    head = head_of(path)
    kind = next((kind for kind, begins in _KINDS.items() if begins.match(head)), None)
    return "movie" if kind == "image" and path.suffix.lower() in _STREAMS_OF_JPEG else kind
