"""What a file is by its bytes, whatever it is called, and what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

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
_EBML, _SEGMENT, _CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
# Elements of Matroska (RFC 9559) at and below the top, as far down as blocks of frames.
_ELEMENT = re.compile(
    rb"\x1aE\xdf\xa3|\x18S\x80g|\x11M\x9bt|\x15I\xa9f|\x16T\xaek|\x1fC\xb6u|\x1cS\xbbk|\x19A\xa4i"
    rb"|\x10C\xa7p|\x12T\xc3g|XT|[\xe7\xa7\xab\xa3\xa0\xaf\xec\xbf]"
)
_GIF_END = b"\x3b"
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_TS_PACKET, _TS_SYNC = 188, 0x47
_CUT = "The file ends earlier than its container declares: it is cut off."
_DAMAGED = (
    "The file is damaged in its middle: frames may be missing there, and the numbers of those "
    "after them are too low."
)


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


def fault_of(path: Path) -> str | None:
    """Return what is wrong with a Matroska, MP4, GIF, PNG or MPEG-TS file; others do not show it.

    Players do not report it.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(512)
        if head.startswith(_EBML):
            return _fault_of_matroska(file, size)
        if head[4:8] == b"ftyp":
            return _fault_of_mp4(file, size)
        file.seek(max(0, size - 64))
        end = file.read()
    is_ts = head[:1] == bytes([_TS_SYNC]) == head[_TS_PACKET : _TS_PACKET + 1]
    is_cut = is_ts and size % _TS_PACKET != 0
    if head.startswith(b"GIF8"):
        is_cut = not end.rstrip(b"\0\r\n").endswith(_GIF_END)
    elif head.startswith(_PNG):
        is_cut = _PNG_END not in end
    return _CUT if is_cut else None


def _fault_of_matroska(file: BinaryIO, size: int) -> str | None:
    """Go from element to element (RFC 8794) up to the blocks of frames."""
    at, end = 0, size
    while at < end:
        file.seek(at)
        head = file.read(12)
        name = _ELEMENT.match(head)
        digits = 9 - head[name.end()].bit_length() if name and name.end() < len(head) else 9
        if not name or digits > 8:
            return _DAMAGED if at + len(head) < size else _CUT
        at += name.end() + digits
        number = int.from_bytes(head[name.end() : name.end() + digits], "big")
        length = number - (1 << 7 * digits)
        is_known = length < (1 << 7 * digits) - 1  # of what was streamed it is not
        if name[0] == _SEGMENT:
            end = at + length if is_known else size
        elif name[0] != _CLUSTER:
            at += length
        if max(at, end) > size:
            return _CUT
    return None


def _fault_of_mp4(file: BinaryIO, size: int) -> str | None:
    """Go from box to box (ISO/IEC 14496-12, 4.2): of fragments, no other header tells the end."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8 or not head[4:8].isalnum():  # 0: up to the end; or something else follows
            return None
        at += length
    return _CUT if at > size else None
