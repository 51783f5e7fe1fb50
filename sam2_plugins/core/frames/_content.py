"""What a file is by its bytes, whatever it is called, and whether its end is there."""

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
_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
_GIF_END = b"\x3b"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_TS_PACKET, _TS_SYNC = 188, 0x47


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


def is_cut_short(path: Path) -> bool:
    """Return whether a Matroska, GIF, PNG or MPEG-TS file lacks its end; others do not show it.

    Players do not report it.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(512)
        file.seek(max(0, size - 64))
        end = file.read()
    if head.startswith(b"GIF8"):
        return not end.rstrip(b"\0\r\n").endswith(_GIF_END)
    if head.startswith(_PNG):
        return _PNG_END not in end
    if head.startswith(_EBML):
        end_of_all = _end_of_segment(head)
        return end_of_all is not None and end_of_all > size
    is_ts = head[:1] == bytes([_TS_SYNC]) == head[_TS_PACKET : _TS_PACKET + 1]
    return is_ts and size % _TS_PACKET != 0


def _end_of_segment(head: bytes) -> int | None:
    """Offset at which a Matroska file ends (RFC 8794, 4); None for one that was streamed."""
    start = head.find(_SEGMENT)
    if not 0 < start < len(head) - 12:
        return None
    first = head[start + 4]
    length = 9 - first.bit_length()
    number = int.from_bytes(head[start + 4 : start + 4 + length], "big")
    value = number & ((1 << 7 * length) - 1)
    if length > 8 or value == (1 << 7 * length) - 1:
        return None
    return start + 4 + length + value
