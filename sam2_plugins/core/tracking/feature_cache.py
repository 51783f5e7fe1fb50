"""Features of the windows of frames: each is encoded once, whatever the number of objects."""

from __future__ import annotations

import math
import weakref
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_plugins.core.errors import ModelError
from sam2_plugins.core.frames import Frame, FrameSource
from sam2_plugins.core.model import ImageFeatures, Sam2Model
from sam2_plugins.core.tracking.disk_features import DiskFeatures
from sam2_plugins.core.tracking.recent import Recent
from sam2_plugins.core.tracking.transfer import in_few_sizes, ready_for, to_device
from sam2_plugins.core.tracking.windows.planner import Window

K = TypeVar("K", bound=Hashable)
View: TypeAlias = tuple[int, Window]
"""A window of a frame."""

SPARSE = 8
"""Pixels from one to the next that are looked at for colours."""

PIXELS_AT_ONCE = 2**21
"""Pixels of the model's input in one batch on an accelerator: two frames of 1024, 32 of 256.

On a processor a batch is no faster, and takes memory.
"""


class FeatureStore(Recent[ImageFeatures]):
    """The most recently used features: so many megabytes beyond those that were kept last."""

    def __init__(self, megabytes: float) -> None:
        super().__init__(math.inf, megabytes, least=1)


class FeatureCache:
    """Features of one movie: the last few, or those in a store that trackers share.

    `megabytes`, `shared` and `movie` are those of a `VideoTracker`.
    """

    def __init__(
        self,
        model: Sam2Model,
        frames: FrameSource,
        megabytes: float = 8,
        shared: FeatureStore | None = None,
        movie: Hashable = None,
    ) -> None:
        if not isinstance(model, Sam2Model):
            raise ModelError(
                f'Give a model that is loaded, not {model!r}: load_model("nano") loads one.'
            )
        self.model = model
        self.frame_size = (frames.height, frames.width)
        self._frames = frames
        self._store = FeatureStore(megabytes) if shared is None else shared
        self._movie = (weakref.ref(model), movie)
        self._pictures: Recent[Frame] = Recent()
        self._planes: Recent[NDArray[np.uint8]] = Recent()
        self._there: Recent[Tensor] = Recent(2)
        self._times: dict[int, float] = {}
        self._ready: tuple[int, Tensor] | None = None
        self._ahead = ReadAhead(frames, self._make_ready)
        alone = model.device.type == "cpu"
        self._at_once = 1 if alone else max(1, PIXELS_AT_ONCE // model.image_size**2)
        self.encoded = 0
        self.disk: DiskFeatures | None = None
        """Where features are kept beyond this session; None: nowhere."""

    def get(self, frame: int, windows: Sequence[Window]) -> dict[Window, ImageFeatures]:
        """Features of some windows of one frame; only those not kept are encoded."""
        found = self.get_all([(frame, window) for window in dict.fromkeys(windows)])
        return {window: features for (_, window), features in found.items()}

    def get_all(self, views: Sequence[View]) -> dict[View, ImageFeatures]:
        """Features of some windows of some frames, encoded together."""
        keys = {view: (self._movie, *view) for view in views}
        kept = self._store.find(keys.values())
        found = {view: kept[key] for view, key in keys.items() if key in kept}
        missing = [view for view in keys if view not in found]
        names: dict[View, str] = {}
        if self.disk is not None:
            for frame, window in missing:
                name = self.disk.key(self.model, window.crop(self.picture(frame)))
                names[frame, window] = name
                on_disk = self.disk.get(name, self.model.device)
                if on_disk is not None:
                    found[frame, window] = on_disk
            missing = [view for view in missing if view not in found]
        for some in self.batches(missing):
            found |= self._encode(some, len(missing))
        if self.disk is not None:
            for view in missing:
                self.disk.put(names[view], found[view])
        self._store.keep({key: found[view] for view, key in keys.items()})
        return found

    def seen(self, frame: int, window: Window) -> tuple[Tensor, ImageFeatures]:
        """Return a window as the model sees it, [1, 3, S, S], and its features."""
        features = self.get(frame, [window])[window]
        return self.model.preprocess(self.cut([(frame, window)])), features

    def frame(self, index: int) -> Frame:
        """Return a frame; the last few are kept, for one is often wanted twice.

        Raises
        ------
        IndexError
            If there is no such frame (any more).
        """
        return self._pictures.get(index, lambda: self._ahead.take(index) or self._frames[index])

    def time(self, index: int) -> float:
        """Return the time of a frame in seconds; the frame is read only the first time."""
        if index not in self._times:
            self._times[index] = self.frame(index).time
        return self._times[index]

    def readable(self, index: int) -> bool:
        """Whether a frame can still be had; those of a stream pass."""
        return self._frames.seekable or index >= next(reversed(self._times), 0)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return a frame's picture [H, W, 3]; see `frame`."""
        return self.frame(index).image

    def planes(self, index: int) -> NDArray[np.uint8]:
        """Return a frame's picture [H, W, 3], or [H, W, 1] where it has no colours."""
        return self._planes.get(index, lambda: _without_copies(self.picture(index)))

    def on_device(self, index: int) -> Tensor:
        """Return a frame's picture, uint8 [H, W, 3], where the model is."""
        return self._there.get(index, lambda: self._brought(index))

    def _brought(self, index: int) -> Tensor:
        ready = self._ready
        if ready is None or ready[0] != index:
            ready = index, ready_for(self.picture(index), self.model.device)
        return ready[1].to(self.model.device, non_blocking=True)

    def _make_ready(self, frame: Frame) -> None:
        """Copy a frame that was read ahead to where the device fetches it, if it did so before."""
        if len(self._there):
            self._ready = frame.index, ready_for(frame.image, self.model.device)

    def read_ahead(self, index: int) -> None:
        """Read a frame that comes next while an accelerator works; a processor is busy itself."""
        if self.model.device.type != "cpu" and index not in self._pictures:
            self._ahead.start(index)

    def encode_ahead(self, index: int, windows: Sequence[Window]) -> None:
        """Let an accelerator encode the frame that comes next, if it has been read by now.

        Few windows move from one frame to the next.
        """
        if self._ahead.has(index):
            self.get(index, windows)

    def batches(self, views: Sequence[View]) -> Iterator[list[View]]:
        """Windows of one size, in batches of few lengths, frame by frame."""
        alike: dict[tuple[int, int], list[View]] = defaultdict(list)
        for frame, window in views:
            alike[window.height, window.width].append((frame, window))
        for same in alike.values():
            yield from in_few_sizes(sorted(same, key=lambda view: view[0]), self._at_once)

    def _encode(self, views: Sequence[View], among: int) -> dict[View, ImageFeatures]:
        """Encode windows of one size, which are some of so many that are wanted."""
        features = self.model.encode_image(self.model.preprocess(self.cut(views, among)))
        found = dict(zip(views, features.each(), strict=True))
        self.encoded += len(found)
        return found

    def cut(self, views: Sequence[View], among: int = 1) -> Tensor:
        """Cut windows of one size out of their frames, which are in order: [n, h, w, 3]."""
        by_frame = groupby(views, key=lambda view: view[0])
        cuts = [self._cut_out(frame, [w for _, w in some], among) for frame, some in by_frame]
        return cuts[0] if len(cuts) == 1 else torch.cat(cuts)

    def _cut_out(self, frame: int, windows: Sequence[Window], among: int) -> Tensor:
        """Cut windows of one size out of a frame, [n, h, w, 3], where less has to be moved for it.

        Many windows overlap: then the whole frame goes to an accelerator, and is cut there. So it
        is where the frame is there already, or comes there anyway for the outlines.
        """
        device, (height, width) = self.model.device, self.frame_size
        whole = among * windows[0].width * windows[0].height >= height * width
        there = frame in self._there or (self._ready is not None and self._ready[0] == frame)
        plain = all(type(window) is Window for window in windows)
        if device.type == "cpu" or not plain or not (whole or there):
            image = self.picture(frame)
            return to_device(np.stack([w.crop(image) for w in windows]), device)
        return gather(self.on_device(frame), windows)


def _without_copies(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take one channel of a picture that has no colours, as a sparse look tells."""
    some = image[::SPARSE, ::SPARSE]
    return image[..., :1] if (some == some[..., :1]).all() else image


def stacked(features: Mapping[K, ImageFeatures], wanted: Sequence[K]) -> ImageFeatures:
    """Features of what each object is seen in; a batch of one if all share one."""
    if len(set(wanted)) == 1:
        return features[wanted[0]]
    return ImageFeatures.cat([features[one] for one in wanted])


class ReadAhead:
    """Reads a frame of a movie in a thread, and prepares it, before it is wanted.

    A stream is never read ahead.
    """

    def __init__(self, frames: FrameSource, prepare: Callable[[Frame], None]) -> None:
        self._frames = frames
        self._prepare = prepare
        self._thread: ThreadPoolExecutor | None = None
        self._coming: tuple[int, Future[Frame]] | None = None

    def start(self, index: int) -> None:
        """Begin to read a frame, unless the movie cannot have it."""
        exists = self._frames.seekable and 0 <= index < len(self._frames)
        if not exists or (self._coming and self._coming[0] == index):
            return
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "read-ahead")
        self._coming = index, self._thread.submit(self._read, index)

    def _read(self, index: int) -> Frame:
        frame = self._frames[index]
        self._prepare(frame)
        return frame

    def has(self, index: int) -> bool:
        """Whether a frame that was begun has been read, and well."""
        if self._coming is None or self._coming[0] != index:
            return False
        return self._coming[1].done() and self._coming[1].exception() is None

    def take(self, index: int) -> Frame | None:
        """Return the frame that was begun, once; None if it is another, or could not be read."""
        if self._coming is None or self._coming[0] != index:
            return None
        coming, self._coming = self._coming[1], None
        return None if coming.exception() else coming.result()


def gather(image: Tensor, windows: Sequence[Window]) -> Tensor:
    """Cut windows of one size out of an image [H, W, 3], all at once: [n, h, w, 3]."""
    if (windows[0].height, windows[0].width) == image.shape[:2]:
        return image.expand(len(windows), -1, -1, -1)
    corners = to_device(np.array([(w.y, w.x) for w in windows]), image.device)
    rows = corners[:, :1] + torch.arange(windows[0].height, device=image.device)
    columns = corners[:, 1:] + torch.arange(windows[0].width, device=image.device)
    return image[rows[:, :, None], columns[:, None, :]]
