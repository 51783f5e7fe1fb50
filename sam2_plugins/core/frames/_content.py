"""What a file is by its bytes, whatever it is called, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable
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
_MXF = b"\x06\x0e\x2b\x34"  # SMPTE ST 336: how each key of MXF begins
_ASF = b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"
_ASF_FILE = b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11"  # File Properties Object
_PES = re.compile(rb"\0\0\x01[\xbc-\xef]..", re.DOTALL)  # of ISO/IEC 13818-1
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
    """Return what is wrong with a file, where its container shows what players do not report.

    Those of Matroska, MP4, MXF, FLV, MPEG, Ogg, ASF, GIF and PNG do.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1024)
        if head.startswith(_EBML):
            return _fault_of_matroska(file, size)
        if head[4:8] == b"ftyp":
            is_cut = _breaks_off(file, size, 0, _length_in_mp4)
        elif head.startswith(_MXF):
            pack = _value_in_mxf(head) + 24  # to the place of the footer, which ends the file
            footer = int.from_bytes(head[pack : pack + 8], "big")
            is_cut = footer >= size or _breaks_off(file, size, 0, _length_in_mxf)
        elif head.startswith(b"FLV\x01"):
            is_cut = _breaks_off(file, size, 13, _length_in_flv)
        else:
            file.seek(max(0, size - (1 << 17)))
            is_cut = _ends_early(head, file.read(), size)
    return _CUT if is_cut else None


def _ends_early(head: bytes, end: bytes, size: int) -> bool:
    if head.startswith(b"GIF8"):
        return not end.rstrip(b"\0\r\n").endswith(_GIF_END)
    if head.startswith(_PNG):
        return _PNG_END not in end[-64:]
    if head.startswith(b"OggS"):  # RFC 3533, section 6: of the last page, and that it is one
        page = end[end.rfind(b"OggS") :]
        segments = page[27:][: page[26]] if len(page) > 26 else b""
        return not segments or not page[5] & 4 or 27 + len(segments) + sum(segments) > len(page)
    if head.startswith(_ASF) and 0 < (at := head.find(_ASF_FILE)) < len(head) - 88:
        is_live = head[at + 88] & 1
        return not is_live and int.from_bytes(head[at + 40 : at + 48], "little") > size
    if head.startswith(b"\0\0\x01\xba") and (packets := list(_PES.finditer(end))):
        last = packets[-1]
        return last.end() + int.from_bytes(last[0][4:], "big") > len(end)
    is_ts = head[:1] == bytes([_TS_SYNC]) == head[_TS_PACKET : _TS_PACKET + 1]
    return is_ts and size % _TS_PACKET != 0


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


def _breaks_off(
    file: BinaryIO, size: int, at: int, length_of: Callable[[bytes], int | None]
) -> bool:
    """Go from part to part, and return whether the last one reaches beyond the end."""
    while at < size:
        file.seek(at)
        length = length_of(file.read(25))
        if length is None:
            return False
        at += length
    return at > size


def _length_in_mp4(head: bytes) -> int | None:
    """Length of a box (ISO/IEC 14496-12, 4.2): of fragments, no other header tells the end."""
    length = int.from_bytes(head[:4], "big")
    if length == 1:
        length = int.from_bytes(head[8:16], "big")
    # 0: up to the end; or something else follows
    return length if length >= 8 and head[4:8].isalnum() else None


def _length_in_mxf(head: bytes) -> int | None:
    """Length of a key, of the number that tells the length of its value, and of the value."""
    start = _value_in_mxf(head)
    told = head[17:start] if start > 17 else head[16:17]
    return start + int.from_bytes(told, "big") if head.startswith(_MXF) else None


def _value_in_mxf(head: bytes) -> int:
    return 17 + (head[16] & 0x7F if head[16:] > b"\x7f" else 0)


def _length_in_flv(head: bytes) -> int | None:
    return 15 + int.from_bytes(head[1:4], "big") if head[0] & 0x1F in (8, 9, 18) else None
