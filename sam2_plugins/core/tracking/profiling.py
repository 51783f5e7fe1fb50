"""Where the time of tracking goes on this machine, and what its arithmetic would take at best."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from sam2_plugins.core.export import open_writers
from sam2_plugins.core.frames import FrameSource, encode_video, open_frames
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.model.fast import CAPTURED_AT, graphs_in_use, without_graphs
from sam2_plugins.core.model.linear import by_pytorch
from sam2_plugins.core.tracking.tracker import FrameResult, VideoTracker
from sam2_plugins.core.tracking.transfer import Reading

PARTS = {
    "image encoder": "encode_image",
    "memory attention": "attend_to_memory",
    "mask decoder": "decode",
    "memory encoder": "encode_memory",
}
"""Part of the network to the method of `Sam2Model` that runs it."""

WARM_UP = 17
"""Frames until an object has its full memory: 7 frames, 16 pointers."""

_MATRIX = 1024


@dataclass(frozen=True)
class Profile:
    """Cost of a frame.

    Attributes
    ----------
    objects, image_size
        What was tracked, and the side of the model's input.
    seconds
        Wall-clock time per frame by part, each of which is waited for: those of the network, "read"
        (decode a frame of video), "write" (a compressed label image), "rest".
    frame
        Wall-clock time per frame as users have it, when only results are waited for.
    waits, waited
        How often per frame the host reads something from the device, and the seconds that it waits.
    graphs
        Whether the network's operations were replayed as graphs.
    device_megabytes
        Most memory of the device in use at once; 0 for a processor.
    gigaflop
        Arithmetic of the network per frame.
    floor
        Seconds that this arithmetic would take at the rate of a matrix product.
    """

    model: str
    image_size: int
    objects: int
    seconds: dict[str, float]
    frame: float
    waits: float
    waited: float
    graphs: bool
    device_megabytes: float
    gigaflop: float
    floor: float

    @property
    def total(self) -> float:
        """Seconds per frame."""
        return sum(self.seconds.values())


def matrix_rate(device: torch.device, seconds: float = 0.5) -> float:
    """Measure operations per second of a float32 matrix product: the best of many."""
    a = torch.rand(_MATRIX, _MATRIX, device=device)
    best, until = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < until:
        began = time.perf_counter()
        a @ a
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return float(2 * _MATRIX**3 / best)


def profile_tracking(
    model: Sam2Model, objects: int, rate: float, frames: int = 5, graphs: bool = True
) -> Profile:
    """Track objects through a film made here, as large as the model's input, and take the time.

    Parameters
    ----------
    rate
        Operations per second that the floor is computed with: from `matrix_rate`.
    frames
        Frames that count, after those until memory is full: so many as users have them, and then
        as many by part.
    graphs
        Whether a card may replay operations as graphs.
    """
    side = model.image_size
    as_wanted = nullcontext() if graphs else without_graphs()
    with as_wanted, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        _film(path, side, WARM_UP + CAPTURED_AT + 2 * frames + 2)
        with open_frames(path) as source:
            tracker = VideoTracker(model, source, window=None)
            for index, box in enumerate(_boxes(objects, side)):
                tracker.add_prompt(0, index + 1, box=box)
            writers = open_writers(Path(folder) / "out", ["tiff"], source, tracker.objects)
            run = tracker.propagate()
            with writers:
                # When shapes came so often, they are captured.
                for _ in range(WARM_UP + CAPTURED_AT):
                    next(run)
                if on_card := model.device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats(model.device)
                with _counted_waits() as waits:
                    began = time.perf_counter()
                    for _ in range(frames):
                        next(run)
                    _wait(model.device)
                    frame = (time.perf_counter() - began) / frames
                # What the allocator held at most: what others cannot have.
                held = torch.cuda.max_memory_reserved(model.device) if on_card else 0
                with _clocked(model, source) as spent:
                    began = time.perf_counter()
                    for _ in range(frames):
                        result = next(run)
                        with _clock(spent, "write", model.device):
                            writers.write(result.frame, result.time, result.masks)
                    total = time.perf_counter() - began
                seconds = {name: spent[name] / frames for name in (*PARTS, "read", "write")}
                flop = _count(model, run)
        in_graphs = graphs_in_use(model)
    seconds["rest"] = max(0.0, total / frames - sum(seconds.values()))
    return Profile(
        model.variant.name,
        side,
        objects,
        seconds,
        frame,
        waits=len(waits) / frames,
        waited=sum(waits) / frames,
        graphs=in_graphs,
        device_megabytes=held / 1e6,
        gigaflop=flop / 1e9,
        floor=flop / rate,
    )


@contextmanager
def _counted_waits() -> Iterator[list[float]]:
    """Seconds that each read from the device takes, while the block runs."""
    waits: list[float] = []
    arrays = Reading.arrays

    def timed(reading: Reading) -> list[NDArray[Any]]:
        began = time.perf_counter()
        read = arrays(reading)
        waits.append(time.perf_counter() - began)
        return read

    Reading.arrays = timed  # type: ignore[method-assign, assignment]
    try:
        yield waits
    finally:
        Reading.arrays = arrays  # type: ignore[method-assign]


def _count(model: Sam2Model, run: Iterator[FrameResult]) -> int:
    """Count the operations of the next frame; those in a graph are not seen one by one."""
    wanted = [p for p in model.parameters() if p.requires_grad]
    model.requires_grad_(False)  # the counter would look for gradients
    try:
        with FlopCounterMode(display=False) as counter, by_pytorch(), without_graphs():
            next(run)
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)
    return int(counter.get_total_flops())


@contextmanager
def _clocked(model: Sam2Model, source: FrameSource) -> Iterator[dict[str, float]]:
    """Add up the time of each part, and of reading frames, while the block runs."""
    spent: dict[str, float] = defaultdict(float)

    def clocked(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            with _clock(spent, name, model.device):
                return method(*args, **kwargs)

        return call

    reader = type(source)
    read = reader.__getitem__
    for name, attribute in PARTS.items():
        setattr(model, attribute, clocked(name, getattr(model, attribute)))
    reader.__getitem__ = clocked("read", read)  # type: ignore[method-assign]
    try:
        yield spent
    finally:
        for attribute in PARTS.values():
            delattr(model, attribute)
        reader.__getitem__ = read  # type: ignore[method-assign]


@contextmanager
def _clock(spent: dict[str, float], name: str, device: torch.device) -> Iterator[None]:
    _wait(device)
    began = time.perf_counter()
    yield
    _wait(device)
    spent[name] += time.perf_counter() - began


def _wait(device: torch.device) -> None:
    """Let an accelerator finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _boxes(objects: int, side: int) -> list[tuple[int, int, int, int]]:
    """Boxes in rows over the frame."""
    columns = int(np.ceil(np.sqrt(objects)))
    step = side // columns
    corners = [(step * (i % columns), step * (i // columns)) for i in range(objects)]
    return [(x + step // 4, y + step // 4, x + step // 2, y + step // 2) for x, y in corners]


def _film(path: Path, side: int, frames: int) -> None:
    """Write noise that moves, as a video file."""
    noise = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    encode_video(path, (np.roll(noise, index, axis=1) for index in range(frames)), crf=23)
