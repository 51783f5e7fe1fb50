"""Movies of which a person has outlined objects: what fine-tuning learns from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from sam2_plugins.core.datasets import Dataset
from sam2_plugins.core.errors import TrainingError
from sam2_plugins.core.frames import FrameSource, open_frames
from sam2_plugins.core.masks import Masklet, ObjectId, ObjectMask, split_label_image

FrameMasks = Mapping[ObjectId, ObjectMask]


@dataclass(frozen=True)
class AnnotatedMovie:
    """A movie and the masks of some of its frames.

    On a frame with masks, an object without one is taken not to be there. A frame without any mask
    is taken as one that nobody has looked at.

    Attributes
    ----------
    name
        What to call it in a message; that of its folder or file.
    source
        Whatever `open_frames` takes; it is opened anew each time, so no stream.
    masks
        Frame (0-based) to the masks of its objects.
    reading
        Further arguments of `open_frames`: axes, channels, limits …
    """

    name: str
    source: Any
    masks: Mapping[int, FrameMasks]
    reading: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_labels(cls, name: str, source: Any, labels: Iterable[NDArray[Any]]) -> AnnotatedMovie:
        """Take a label image [H, W] for each frame; empty ones are not annotated."""
        cut = ((n, split_label_image(image)) for n, image in enumerate(labels) if image.any())
        return cls(name, source, {n: dict(masks.items()) for n, masks in cut})

    @classmethod
    def from_dataset(cls, dataset: Dataset) -> AnnotatedMovie:
        """Take the truth of a dataset that is evaluated, too."""
        truth = ((n, dataset.masks(n)) for n in dataset.truth_frames)
        return cls(dataset.name, dataset.frames, {n: dict(m.items()) for n, m in truth if m})

    @classmethod
    def from_masklets(cls, name: str, source: Any, masklets: Iterable[Masklet]) -> AnnotatedMovie:
        """Take what a tracker, or a host, holds."""
        masks: dict[int, dict[ObjectId, ObjectMask]] = {}
        for masklet in masklets:
            for frame, mask in masklet:
                if mask.visible:
                    masks.setdefault(frame, {})[masklet.obj] = mask
        return cls(name, source, masks)

    @property
    def frames(self) -> list[int]:
        """The annotated frames, in order of time."""
        return sorted(self.masks)

    def only(self, frames: Iterable[int]) -> AnnotatedMovie:
        """Return the same movie with the annotations of these frames."""
        masks = {frame: self.masks[frame] for frame in sorted(frames)}
        return replace(self, masks=masks)

    def open(self) -> FrameSource:
        """Open the movie.

        Raises
        ------
        FrameSourceError
            If it cannot be read.
        TrainingError
            If the masks do not fit it.
        """
        source = open_frames(self.source, **self.reading)
        size = (source.height, source.width)
        found = {mask.frame_size for masks in self.masks.values() for mask in masks.values()}
        if wrong := found - {size}:
            raise TrainingError(
                f"{self.name}: the masks are {_size(wrong.pop())}, but the movie is {_size(size)}. "
                "Give the movie on which they were drawn."
            )
        if source.length is not None and self.frames and self.frames[-1] >= source.length:
            raise TrainingError(
                f"{self.name}: frame {self.frames[-1]} has masks, but the movie ends with frame "
                f"{source.length - 1}. Give the movie on which they were drawn."
            )
        return source


def _size(size: tuple[int, int]) -> str:
    return f"{size[1]}×{size[0]} pixels"
