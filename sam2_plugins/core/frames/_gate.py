"""The one place where media files are opened: formats that FFmpeg may open, and size limits.

Names of files and addresses come from manifests, tasks and prompts of others. FFmpeg interprets
them: `concat:a|b`, a clock time as a protocol, a playlist that names other
files or hosts. Here a file is a file, an address is one of the known kinds, and only formats that
hold their own pictures are opened.
"""

from __future__ import annotations

import re
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import av
import av.error
import tifffile
from PIL import Image

from sam2_plugins.core.errors import FrameSourceError

MAX_PIXELS = 1 << 28
"""Of a frame: 16,384 × 16,384. Larger ones are refused before they are decoded."""

DAMAGE: tuple[type[Exception], ...] = (
    *(OSError, ValueError, RuntimeError, SyntaxError, EOFError, KeyError, IndexError, TypeError),
    *(AttributeError, OverflowError, MemoryError, ZeroDivisionError, AssertionError),
    *(struct.error, zlib.error, zipfile.BadZipFile, Image.DecompressionBombError),
    tokenize.TokenError,  # numpy reads the head of an array as Python
    tifffile.TiffFileError,  # no ValueError before 2025.6
)
"""Exceptions of libraries on files that are damaged, or made to attack them."""

_ADDRESS = re.compile(r"(https?|rtsps?|rtmps?|rtp|srt|tcp|udp)://", re.IGNORECASE)
_NETWORK = "http,https,httpproxy,tcp,tls,udp,rtp,rtsp,rtsps,srtp,srt,rtmp,rtmps,rtmpt,rtmpts"
_NO_PROTOCOL = "none"  # a name that is not there: FFmpeg takes an empty list for no list

# FFmpeg's demuxers of video that open nothing else: no playlists (hls, dash, concat, imf), no
# devices, no patterns of file names (image2), no text that is drawn (tty), no sound.
_CONTAINERS = (
    "4xm,amv,apng,argo_asf,asf,av1,avi,avs,avs2,avs3,bink,c93,cavsvideo,cdxl,cine,dhav,dirac,dnxhd,"
    "dv,dxa,ea,evc,film_cpk,filmstrip,flic,flv,gif,gxf,h261,h263,h264,hevc,ifv,ipmovie,ivf,ivr,"
    "iv8,jv,kux,live_flv,lmlm4,lxf,m4v,matroska,webm,mjpeg,mjpeg_2000,mlv,moflex,mov,mp4,m4a,3gp,"
    "3g2,mj2,mpeg,mpegts,mpegvideo,mpjpeg,mtv,mv,mvi,mxf,mxg,nsv,nut,nuv,obu,ogg,pmp,pva,r3d,rl2,"
    "rm,roq,rpl,ser,smjpeg,smk,swf,thp,ty,usm,vc1,vc1test,vividas,vivo,vmd,vvc,wtv,xmv,"
    "yuv4mpegpipe"
)
_PICTURES = "bmp_pipe,j2k_pipe,jpeg_pipe,jpegls_pipe,pam_pipe,pbm_pipe,pgm_pipe,png_pipe,ppm_pipe"
_SOUND = "aac,aiff,flac,mp3,wav"  # opened to report that they have no picture


def is_address(text: str) -> bool:
    """Return whether a text names something on a network, or by a protocol, rather than a file."""
    return "://" in text and not exists(Path(text))


def exists(path: Path) -> bool:
    """Return whether there is a file; a name that no file can have names none."""
    try:
        return path.exists()
    except OSError:
        return False


def media_url(path: Path) -> str:
    """Return a path for FFmpeg as a `file:` address, so that no part of its name is interpreted."""
    return f"file:{path}"


def open_container(source: Any, name: str, **options: str) -> Any:
    """Open a file (a `Path`), an address (a text) or a file object with PyAV."""
    formats = f"{_CONTAINERS},{_PICTURES},{_SOUND}"
    name = "Standard input" if name == "-" else name
    if isinstance(source, Path):
        target, protocols = media_url(source), "file"
    elif isinstance(source, str):
        target, protocols = _address(source), _NETWORK
        formats += ",rtsp,rtp"
    else:
        target, protocols = source, _NO_PROTOCOL
    gate = {"protocol_whitelist": protocols, "format_whitelist": formats}
    try:
        return av.open(target, options={**gate, **options})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, av.error.ArgumentError):  # FFmpeg: the format is not on the list
            raise _unknown(name, streamed=not isinstance(source, Path)) from error
        reason = getattr(error, "strerror", None) or error
        if isinstance(source, str):
            raise FrameSourceError(
                f"No video comes from {name}: {reason}. Check the address."
            ) from error
        raise FrameSourceError(
            f"{name} cannot be read as a video: {reason}. If its recording or copying was cut "
            "short, copy it again, or repair it (an MP4 without its end has no index)."
        ) from error


def require_size(height: int, width: int, name: str, most: int) -> None:
    """Refuse frames that are too large to be decoded."""
    if height * width > most:
        raise FrameSourceError(
            f"{name} has frames of {width} x {height} pixels, more than the {most:,} that are "
            "decoded. Cut it into parts, or make it smaller."
        )


def require_small_pieces(samples: int, name: str, most: int) -> None:
    """Refuse files whose chunks, tiles or pages are too large to be decoded, unlike a frame."""
    if samples > 8 * most:
        raise FrameSourceError(
            f"{name} is stored in pieces of {samples:,} samples, more than the {8 * most:,} that "
            "are decoded at once. Save it again in smaller ones."
        )


def _address(text: str) -> str:
    if not _ADDRESS.match(text):
        protocol = text.partition(":")[0]
        raise FrameSourceError(
            f'{text} is of a kind that is not opened ("{protocol}:"): give the path of a file, or '
            "an address that begins with http, https, rtsp, rtmp, srt, udp or tcp."
        )
    return text


def _unknown(name: str, streamed: bool) -> FrameSourceError:
    if streamed:
        return FrameSourceError(
            f"{name} is no video of a known format, and a stream can be nothing else: save it as "
            "a file, and give its path."
        )
    return FrameSourceError(
        f"{name} is no video of a known format. Give an MP4, MKV, WebM, AVI, TIFF, a folder of "
        "images, an OME-Zarr or a .npy file; a playlist has to be made one file first "
        "(ffmpeg -i PLAYLIST -c copy movie.mp4)."
    )
