"""A sequence with ground truth, read from any layout, and its rules of scoring.

The truth is a label image per frame, or masks by label.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import FrameSource, list_images, open_frames
from sam2_plugins.core.masks import ObjectId, ObjectMask, compose_label_image, split_label_image

Absent = Literal["davis", "ignore"]
LabelledFrame: TypeAlias = "NDArray[Any] | Mapping[int, ObjectMask]"
"""A label image, or masks by label, which may overlap."""

LabelledFrames: TypeAlias = "Sequence[LabelledFrame] | NDArray[Any]"
"""One per frame; an array is [T, H, W] of labels."""


def masks_of(frame: LabelledFrame) -> Mapping[int, ObjectMask]:
    """Masks of a frame by label."""
    return frame if isinstance(frame, Mapping) else split_label_image(frame)


class LazyFrames(Sequence[Any]):
    """Frames that are each read when they are used.

    Parameters
    ----------
    frames
        Their numbers, which `read` takes.
    """

    def __init__(self, frames: range, read: Callable[[int], LabelledFrame]) -> None:
        self._frames = frames
        self._read = read

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int | slice) -> Any:
        chosen = self._frames[index]
        return LazyFrames(chosen, self._read) if isinstance(chosen, range) else self._read(chosen)


def label_images(
    masks: Sequence[Mapping[ObjectId, ObjectMask]], frame_size: tuple[int, int]
) -> Sequence[NDArray[Any]]:
    """Compose the masks of each frame into a label image, by the rule of overlap."""

    def compose(frame: int) -> NDArray[Any]:
        return compose_label_image({int(o): m for o, m in masks[frame].items()}, frame_size)

    return LazyFrames(range(len(masks)), compose)


Kind: TypeAlias = Literal["microscopy", "natural"]
_OF_MICROSCOPES = {".tif", ".tiff", ".npy", ".zarr", ".zip", ".stk", ".lsm"}


class EvaluationSettings(TypedDict):
    """How a sequence is scored: arguments of `metrics.evaluate`."""

    objects: list[int]
    prompt_frame: int | Mapping[int, int]
    bound: float | None
    absent: Absent
    frames: Collection[int] | None


@dataclass(frozen=True)
class Dataset:
    """A sequence with ground truth.

    Attributes
    ----------
    folder
        Where it lies.
    frames
        A source for `open_frames`: a path, or the paths of images.
    layout
        "own", "davis", "sa-v", "ctc", "beside", "coco" or "label-studio".
    read
        Opens the truth: a label image, or masks by label, per frame. Called once.
    kind
        What the objects are. Cells are scored by a fixed tolerance and only while they are there.
    annotated
        Frames that have a truth; None: all of them.
    objects
        Labels to score; None: all that are on the prompted frame.
    prompt_frame
        Frame of the prompts; None: each object where it is first seen.
    meta
        Its further metadata.
    """

    name: str
    folder: Path
    frames: Path | Sequence[str]
    layout: str
    read: Callable[[], LabelledFrames] = field(repr=False)
    kind: Kind = "natural"
    annotated: tuple[int, ...] | None = None
    objects: tuple[int, ...] | None = None
    prompt_frame: int | None = 0
    meta: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def truth(self) -> LabelledFrames:
        """The true labels by frame."""
        return self.read()

    def open(self, **reading: Any) -> FrameSource:
        """Open the movie, as `open_frames` does.

        Raises
        ------
        FrameSourceError
            If it cannot be read, or is not that of the truth.
        """
        movie = open_frames(self.frames, **reading)
        size, length = (movie.height, movie.width), movie.length
        masks = [mask for frame in self.truth_frames[:1] for mask in self.masks(frame).values()]
        if any(mask.frame_size != size for mask in masks):
            raise FrameSourceError(
                f"{self.name}: the labels are {masks[0].frame_size}, but the movie is {size} "
                "(height, width). Give the movie on which they were drawn."
            )
        if length is not None and len(self.truth) > length:
            raise FrameSourceError(
                f"{self.name}: there are labels of {len(self.truth)} frames, but the movie has "
                f"{length}. Give the movie on which they were drawn."
            )
        return movie

    @property
    def overlaps(self) -> bool:
        """Whether the truth is masks, which may overlap, rather than label images."""
        return isinstance(self.truth[self.truth_frames[0]], Mapping)

    def masks(self, frame: int) -> Mapping[int, ObjectMask]:
        """Return the true masks of a frame by label."""
        return masks_of(self.truth[frame])

    @property
    def truth_frames(self) -> Sequence[int]:
        """Frames that have a truth, in order of time."""
        return range(len(self.truth)) if self.annotated is None else self.annotated

    @property
    def settings(self) -> EvaluationSettings:
        """The rules of scoring."""
        cells = self.kind == "microscopy"
        starts = self.first_frames
        return {
            "objects": list(starts),
            "prompt_frame": starts if self.prompt_frame is None else self.prompt_frame,
            "bound": 2 if cells else None,
            "absent": "ignore" if cells else "davis",
            "frames": self.annotated,
        }

    @cached_property
    def first_frames(self) -> dict[int, int]:
        """Label of each object to score, to the frame to prompt it on."""
        if self.prompt_frame is not None:
            if self.prompt_frame not in self.truth_frames:
                raise FrameSourceError(
                    f"{self.name}: objects are to be prompted on frame {self.prompt_frame}, which "
                    "has no labels. Choose another prompt_frame in its meta.json."
                )
            objects = self.masks(self.prompt_frame) if self.objects is None else self.objects
            return dict.fromkeys(map(int, objects), self.prompt_frame)
        starts: dict[int, int] = {}
        for frame in self.truth_frames:
            for label in self.masks(frame):
                starts.setdefault(int(label), frame)
        return starts


def kind_of(movie: Path) -> Kind:
    """Guess the kind of movie: TIFF files and arrays come from a microscope."""
    first = next(iter(list_images(movie)), movie) if movie.is_dir() else movie
    return "microscopy" if first.suffix.lower() in _OF_MICROSCOPES else "natural"


def masked(
    name: str,
    folder: Path,
    frames: Path | Sequence[str],
    masks: Mapping[int, Mapping[int, ObjectMask]],
    length: int,
    layout: str = "coco",
) -> Dataset:
    """Make a dataset of masks by frame and label, which may overlap; other frames have no truth."""
    return Dataset(
        name=name,
        folder=folder,
        frames=frames,
        layout=layout,
        read=lambda: LazyFrames(range(length), lambda frame: masks.get(frame, {})),
        kind=kind_of(frames if isinstance(frames, Path) else Path(frames[0])),
        annotated=tuple(sorted(masks)),
        prompt_frame=None,
    )


def label_files(
    files: Sequence[Path | None], read: Callable[[Path], NDArray[Any]]
) -> Sequence[NDArray[Any]]:
    """Open a label image per frame, read when it is used; a frame without a file is empty."""
    there = next((file for file in files if file is not None), None)
    if there is None:
        raise FrameSourceError("There is no label image at all.")
    size = read(there).shape

    def read_frame(frame: int) -> NDArray[Any]:
        file = files[frame]
        if file is None:
            return np.zeros(size, np.uint8)
        labels = read(file)
        if labels.shape != size:
            raise FrameSourceError(f"{file} is {labels.shape}, but the first is {size}.")
        return labels

    return LazyFrames(range(len(files)), read_frame)
