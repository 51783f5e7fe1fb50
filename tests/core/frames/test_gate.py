"""Names that others wrote: a file is a file, and nothing else is opened."""

from __future__ import annotations

import http.server
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import open_frames
from tests.core.frames.movies import WIDTH, write_movie
from tests.support.web import listening


class Secrets(http.server.BaseHTTPRequestHandler):
    """An internal host that counts who comes, and may answer with a playlist."""

    asked: ClassVar[list[str]] = []
    answers: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.answers.get(self.path, b""))


@pytest.fixture
def host() -> Iterator[str]:
    Secrets.asked.clear()
    Secrets.answers.clear()
    with listening(Secrets) as address:
        yield address


def hls(target: str) -> str:
    return (
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n"
        f"#EXTINF:5,\n{target}\n#EXT-X-ENDLIST\n"
    )


def concat(target: str) -> str:
    return f"ffconcat version 1.0\nfile '{target}'\n"


def dash(target: str) -> str:
    return (
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static">'
        f"<BaseURL>{target}</BaseURL></MPD>"
    )


def sdp(target: str) -> str:
    return (
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns={target}\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"
    )


@pytest.mark.parametrize("suffix", ["m3u8", "mp4", "ts", "txt", "sdp"])
@pytest.mark.parametrize("playlist", [hls, concat, dash, sdp])
@pytest.mark.parametrize("target", ["file", "path", "host"])
def test_a_playlist_opens_no_other_file_and_no_host(
    tmp_path: Path, host: str, playlist, suffix: str, target: str
) -> None:
    secret = write_movie(tmp_path / "secret.ts", 5)
    named = {"file": f"file:{secret}", "path": secret.name, "host": f"{host}/secret.ts"}[target]
    path = tmp_path / f"list.{suffix}"
    path.write_text(playlist(named))
    with pytest.raises(FrameSourceError, match=r"list\.\w+ is a playlist.*ffmpeg -i"):
        open_frames(path)
    with path.open("rb") as pipe, pytest.raises(FrameSourceError, match=r"no video|as a video"):
        open_frames(pipe)
    assert Secrets.asked == []


def test_a_playlist_of_a_host_opens_no_file_and_no_other_address(tmp_path: Path, host: str) -> None:
    secret = write_movie(tmp_path / "secret.ts", 5)
    for k, target in enumerate([f"file:{secret}", f"{host}/other.ts"]):
        Secrets.answers[f"/{k}.m3u8"] = hls(target).encode()
        with pytest.raises(FrameSourceError, match=r"no video|as a video"):
            open_frames(f"{host}/{k}.m3u8")
    assert "/other.ts" not in Secrets.asked


@pytest.mark.parametrize(
    "text",
    [
        "concat:file:///etc/hosts|file:///etc/passwd",
        "file:///etc/passwd",
        "subfile,,start,0,end,9,,:file:///etc/passwd",
        "crypto:http://127.0.0.1/x",
        "data:video/mp4;base64://AAAA",
        "gopher://127.0.0.1/x",
        "ftp://127.0.0.1/x.mp4",
        "cache:http://127.0.0.1/x.mp4",
    ],
)
def test_other_protocols_are_refused_by_name(text: str) -> None:
    with pytest.raises(FrameSourceError, match=r"of a kind that is not opened \("):
        open_frames(text)


@pytest.mark.parametrize("text", ["concat:a.mp4|b.mp4", "pipe:0", "file:a.mp4", "video%03d.png"])
def test_what_only_ffmpeg_would_open_is_no_file(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4"):
        write_movie(tmp_path / name, 3)
    with pytest.raises(FrameSourceError, match="no file or folder"):
        open_frames(text)


@pytest.mark.parametrize(
    "name",
    ["2024-08-20T13:28:35.mp4", "http:.mp4", "a%03d.mp4", "[x]*?.mp4", "-.mp4", "naïve é.mp4"],
)
def test_a_file_of_any_name_is_a_file(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_movie(tmp_path / "m.mp4", 3).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(open_frames(name)) == 3


def test_frames_too_large_to_decode_are_refused(tmp_path: Path) -> None:
    path = write_movie(tmp_path / "m.mp4", 3)
    with pytest.raises(FrameSourceError, match=f"frames of {WIDTH} x 64 pixels, more than the 100"):
        open_frames(path, max_pixels=100)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.czi", b"ZISRAWFILE", "a Zeiss file.*bfconvert .*m.czi m.ome.tif"),
        ("m.nd2", b"\xda\xce\xbe\n", "a Nikon file.*bfconvert"),
        ("m.lif", b"p\0\0\0", "a Leica file"),
        ("m.h5", b"\x89HDF\r\n\x1a\n", "an HDF5 file.*h5py"),
        ("m.data", b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        ("m.tif", b"ZISRAWFILE\0", r"a Zeiss file.*bfconvert .*m.tif m.ome.tif"),
        ("m.npz", b"PK", "an archive of arrays.*npy"),
        ("m.npy", b"\0\1\2", "as a numpy array: it does not begin as one"),
        ("m.tif", b"II*\0\x08\0\0\0", "cut off|cannot be read"),
        ("m.dng", b"II*\0", "a camera's raw picture"),
        ("m.sif", b"Andor Technology Multi-Channel File\n", "an Andor file.*bfconvert"),
        ("m.img", b"\0" * 128 + b"DICM", "a DICOM file.*bfconvert"),
        ("m.fits", b"SIMPLE  =                    T", "a FITS file.*bfconvert"),
        ("m.jpg", b"\0\0\0\x18ftypheic", "a HEIC picture.*as PNG or TIFF"),
        ("m.svg", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG"),
    ],
)
def test_what_is_not_read_is_named_with_the_way_to_convert_it(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FrameSourceError, match=message):
        open_frames(tmp_path / name)
