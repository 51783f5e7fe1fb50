"""Label images of a movie with their lineage: a result or a truth, in any layout."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sam2_plugins.core.datasets import Dataset, ctc, load_dataset, load_label_stack, recognise
from sam2_plugins.core.datasets.ctc import RESULT_TABLE, TRUTH_TABLE, numbered, read_table
from sam2_plugins.core.datasets.dataset import LabelledFrames, label_files, label_images
from sam2_plugins.core.datasets.label_stacks import read_labels
from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.export import check_ctc
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.masks.label_images import most_frequent

Frames: TypeAlias = "Sequence[NDArray[Any]] | NDArray[Any]"

DAUGHTER_ON_MOTHER = 0.25
"""Share of a daughter that has to lie where her mother was, for a division that is derived."""


@dataclass(frozen=True)
class LabelledTracks:
    """Objects of a movie with their lineage.

    Attributes
    ----------
    name
        What they are called in messages.
    images
        A label image [H, W] per frame.
    parents
        Label of a daughter to that of her mother.
    outlines
        Frame to the label image of exact outlines, where `images` only mark the objects; None:
        `images` have them.
    annotated
        Frames that count; None: all.
    remarks
        What a reader of scores is to know of them, a sentence each.
    """

    name: str
    images: Frames = field(repr=False)
    parents: Mapping[int, int] = field(default_factory=dict)
    outlines: Mapping[int, NDArray[Any]] | None = field(default=None, repr=False)
    annotated: Collection[int] | None = None
    remarks: tuple[str, ...] = ()


def read_result(path: str | Path) -> LabelledTracks:
    """Open a tracker's result.

    Parameters
    ----------
    path
        A results folder of the Cell Tracking Challenge, a folder of `track` that holds one, or
        label images as `load_label_stack` takes them, which know no lineage.

    Raises
    ------
    FrameSourceError
        If there are no label images, or they or the table are damaged.
    """
    path = Path(path)
    folder = _results_folder(path)
    images = ctc.results(folder) if folder.is_dir() else None
    table = folder / RESULT_TABLE
    if not table.is_file():
        return LabelledTracks(
            str(path),
            load_label_stack(path) if images is None else images,
            remarks=(
                f"{path} has no {RESULT_TABLE}, and so no divisions: --format ctc writes one.",
            ),
        )
    if images is None:
        raise FrameSourceError(f"{folder} has {RESULT_TABLE}, but no mask000.tif … beside it.")
    remarks: tuple[str, ...] = ()
    if problems := check_ctc(folder):
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        remarks = (
            f"The Cell Tracking Challenge would refuse {folder}: {problems[0]}{more} "
            "It is scored by its images; only parents are taken from the table.",
        )
    return LabelledTracks(str(path), images, _parents(table), remarks=remarks)


def read_truth(path: str | Path) -> LabelledTracks:
    """Open a ground truth.

    Parameters
    ----------
    path
        A truth folder of the Cell Tracking Challenge (`01_GT`), a dataset of any known layout, or
        anything that may be a result. Where no lineage is annotated it is derived, and a remark
        says so.

    Raises
    ------
    FrameSourceError
        If there is none, or it is damaged.
    """
    path = Path(path)
    if numbered(path / "TRA"):
        return _of_challenge(path)
    if recognise(path):
        return truth_of(load_dataset(path))
    truth = replace(read_result(path), remarks=())
    has_table = (_results_folder(path) / RESULT_TABLE).is_file()
    return truth if has_table else with_derived_lineage(truth)


def truth_of(dataset: Dataset) -> LabelledTracks:
    """Take the truth of a dataset, and its lineage from its metadata, or derive it.

    Raises
    ------
    FrameSourceError
        If it cannot be read.
    """
    if dataset.layout == "ctc" and numbered(dataset.folder / "TRA"):
        return _of_challenge(dataset.folder)
    parents = dataset.meta.get("parents")
    truth = LabelledTracks(
        dataset.name,
        as_label_images(dataset.truth),
        {int(label): int(mother) for label, mother in (parents or {}).items()},
        annotated=dataset.annotated,
    )
    return with_derived_lineage(truth) if parents is None else truth


def as_label_images(frames: LabelledFrames) -> Frames:
    """Compose masks by label into label images; label images are returned as they are."""
    if not len(frames) or not isinstance(frames[0], Mapping):
        return frames  # type: ignore[return-value]
    masks: list[Mapping[Any, ObjectMask]] = [f for f in frames if isinstance(f, Mapping)]
    size = next((mask.frame_size for frame in masks for mask in frame.values()), None)
    if size is None:
        raise FrameSourceError("There is no mask on any frame, and so no size of the frames.")
    return label_images(masks, size)


def with_derived_lineage(truth: LabelledTracks) -> LabelledTracks:
    """Derive the divisions of a truth that has none, and add a remark."""
    parents = derive_parents(truth.images)
    remark = (
        f"The truth {truth.name} has no lineage. It was derived: {len(set(parents.values()))} "
        "divisions, where objects begin on the place of one that ended on the frame before."
    )
    return replace(truth, parents=parents, remarks=(*truth.remarks, remark))


def derive_parents(images: Frames) -> dict[int, int]:
    """Derive divisions from labels alone: daughter to mother.

    Two objects that begin on one frame have a mother if each lies, with a quarter of it or more,
    where the same object was on the frame before, which was its last. What all objects have moved
    in common, such as a drift of the stage, is taken off first.
    """
    last = {label: frame for frame, image in enumerate(images) for label in _labels(image)}
    parents: dict[int, int] = {}
    known: set[int] = set()
    before: NDArray[Any] | None = None
    for frame, image in enumerate(images):
        shown = _labels(image)
        new = shown - known
        if before is not None and new:
            ended = [label for label in _labels(before) if last[label] == frame - 1]
            moved = ndimage.shift(before, _common_motion(before, image), order=0)
            mothers = np.where(np.isin(moved, ended), moved, 0)
            litters: dict[int, dict[int, float]] = {}
            for label in new:
                under = mothers[image == label]
                mother, pixels = most_frequent(under)
                share = pixels / under.size
                if share >= DAUGHTER_ON_MOTHER:
                    litters.setdefault(mother, {})[label] = share
            for mother, litter in litters.items():
                nearest = sorted(litter, key=litter.__getitem__)[-2:]
                parents |= dict.fromkeys(nearest if len(nearest) == 2 else (), mother)
        known |= shown
        before = image
    return parents


def _results_folder(path: Path) -> Path:
    """Folder of masks and table: `track` puts them into a folder of their own."""
    return path / "ctc" if (path / "ctc").is_dir() else path


def _of_challenge(truth: Path) -> LabelledTracks:
    """Open 01_GT: markers and table of TRA, outlines of SEG, or of 01_ST where there are none."""
    markers = numbered(truth / "TRA")
    silver = truth.with_name(truth.name.removesuffix("_GT") + "_ST")
    outlines = numbered(truth / "SEG") or numbered(silver / "SEG")
    table = truth / "TRA" / TRUTH_TABLE
    found = LabelledTracks(
        str(truth),
        label_files([markers.get(frame) for frame in range(max(markers) + 1)], read_labels),
        _parents(table) if table.is_file() else {},
        {frame: read_labels(path) for frame, path in outlines.items()} or None,
        None if len(markers) == max(markers) + 1 else tuple(markers),
    )
    return found if table.is_file() else with_derived_lineage(found)


def _parents(table: Path) -> dict[int, int]:
    tracks = read_table(table)
    return {label: track.parent for label, track in tracks.items() if track.parent in tracks}


def _labels(image: NDArray[Any]) -> set[int]:
    return {int(label) for label in np.unique(image)} - {0}


def _common_motion(before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float64]:
    """(y, x) that objects on both images have moved, by the median; of all together if none is."""
    both = sorted(_labels(before) & _labels(after))
    moves = [
        np.subtract(*(ndimage.center_of_mass(image == label) for image in (after, before)))
        for label in both
    ] or [np.subtract(*(ndimage.center_of_mass(image > 0) for image in (after, before)))]
    return np.asarray(np.median(moves, axis=0))
