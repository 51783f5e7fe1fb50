"""What people do without a network: threshold, watershed, links; one recipe without a setting.

An expert's ten minutes with scikit-image: what the cells look like and how large they are is read
off the first frame, drift is taken off before linking. Chosen on the three microscopy sequences
that are named in docs/evaluation.md, so its scores there are rather too good.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from skimage.filters import threshold_li, threshold_otsu
from skimage.measure import label, regionprops_table
from skimage.morphology import h_maxima
from skimage.registration import phase_cross_correlation
from skimage.segmentation import watershed

Image = NDArray[np.float64]
Labels = NDArray[np.int64]
Linked = tuple[Sequence[NDArray[np.uint16]], dict[int, int]]
"""Images of labels that go on from frame to frame, and daughter to mother."""


def segment(images: Sequence[Image]) -> list[Labels]:
    """Segment every frame for itself.

    The foreground is above Li's threshold. Where it stays apart above the mean of its surroundings,
    it is cut by a watershed from the peaks of distance and brightness.
    """
    look = _look(images[0])
    first = _foreground(_map(images[0], look))
    parts, _ = ndimage.label(first)
    widths = ndimage.maximum(
        ndimage.distance_transform_edt(first), parts, np.arange(1, parts.max() + 1)
    )
    radius = float(np.median(widths[widths > 2])) if np.any(widths > 2) else 3.0
    radius = min(radius, min(images[0].shape) / 12)
    return [_cut(_map(image, look), radius, even=look != "texture") for image in images]


def _look(image: Image) -> str:
    """Which of bright, dark and texture tells objects from the ground best: by its contrast."""
    contrast = {}
    for look in ("bright", "dark", "texture"):
        values = _map(image, look, clipped=False, sigma=2)
        above = values > threshold_otsu(values)
        ground = np.median(values[~above])
        noise = np.median(np.abs(values[~above] - ground))
        contrast[look] = (values[above].mean() - ground) / max(noise, 1e-9)
    return max(contrast, key=contrast.__getitem__)


def _map(image: Image, look: str, clipped: bool = True, sigma: float = 1) -> Image:
    """High on objects, low on the ground."""
    if look == "texture":
        rough = (image - ndimage.gaussian_filter(image, 3)) ** 2
        return np.log(np.sqrt(ndimage.gaussian_filter(rough, 4)) + 1e-3)
    smooth = ndimage.gaussian_filter(image, sigma)
    above = smooth - np.median(smooth) if look == "bright" else np.median(smooth) - smooth
    return np.maximum(above, 0) if clipped else above


def _foreground(values: Image) -> NDArray[np.bool_]:
    return _cleaned(values > threshold_li(values))


def _cleaned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return ndimage.binary_opening(ndimage.binary_fill_holes(mask), iterations=2)


def _cut(values: Image, radius: float, even: bool) -> Labels:
    """Cut the foreground of one frame into objects of about a radius."""
    ground = _foreground(values)
    cores = ground
    if even:  # brightness tells touching objects apart, roughness does not
        cores = _cleaned(ground & (values > ndimage.gaussian_filter(values, radius)))
    if not cores.any():
        return np.zeros(values.shape, np.int64)
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(cores), 1)
    smooth = ndimage.gaussian_filter(values, 0.3 * min(radius, 15))
    low, high = np.percentile(smooth[cores], (5, 95))
    distance += radius / 2 * (smooth - low) / max(high - low, 1e-9) * cores
    steps = np.round(np.maximum(distance, 0) * 8).astype(np.uint16)
    seeds = label(h_maxima(steps, max(1, int(0.15 * radius * 8))))
    inner = _without_specks(watershed(-distance, seeds, mask=cores))
    objects = watershed(-distance, inner, mask=ground)
    alone = label(ground & (objects == 0))
    objects[alone > 0] = alone[alone > 0] + objects.max()
    return _without_specks(objects)


def _without_specks(objects: Labels) -> Labels:
    """Leave out what is much smaller than the others; less so at the edge, which cuts objects."""
    areas = np.bincount(objects.ravel()).astype(float)
    areas[0] = 0
    typical = np.sum(areas**2) / max(np.sum(areas), 1)
    least = np.full(len(areas), typical / 5)
    least[np.concatenate([objects[0], objects[-1], objects[:, 0], objects[:, -1]])] = typical / 50
    return np.where((areas >= least)[objects], objects, 0)


def drifts(objects: Sequence[Labels]) -> list[NDArray[np.float64]]:
    """(y, x) by which all objects of a frame together have moved against those before."""
    moves = [np.zeros(2)]
    for before, image in pairwise(objects):
        masks = ((labels > 0).astype(float) for labels in (before, image))
        moves.append(-phase_cross_correlation(*masks, normalization=None)[0])
    return moves


def link_by_overlap(objects: Sequence[Labels], moves: Sequence[NDArray[np.float64]]) -> Linked:
    """Link by the best overlap; two that lie on one, and are smaller than it, are its daughters."""
    linked = np.zeros((len(objects), *objects[0].shape), np.uint16)
    parents: dict[int, int] = {}
    before, last = np.zeros_like(linked[0]), 0
    for frame, (image, move) in enumerate(zip(objects, moves, strict=True)):
        before = ndimage.shift(before, move, order=0)
        shared = np.zeros((int(image.max()) + 1, last + 1))
        np.add.at(shared, (image.ravel(), before.ravel()), 1)
        area, old_area = shared.sum(1), shared.sum(0)
        union = area[1:, None] + old_area[1:] - shared[1:, 1:]
        iou = shared[1:, 1:] / np.maximum(union, 1)
        names = np.zeros(len(area), int)
        for row, column in zip(*linear_sum_assignment(iou, maximize=True), strict=True):
            if iou[row, column] > 0.1:
                names[row + 1] = column + 1
        taken = {name: one for one, name in enumerate(names) if name}
        for one in np.flatnonzero((names == 0) & (area > 0) & (np.arange(len(area)) > 0)):
            last += 1
            names[one] = last
            mother = int(shared[one, 1:].argmax()) + 1 if shared.shape[1] > 1 else 0
            sister = taken.get(mother)
            inside = mother and shared[one, mother] > area[one] / 2
            if inside and sister and max(area[one], area[sister]) < 0.8 * old_area[mother]:
                last += 1
                names[sister] = last
                parents |= {int(names[one]): mother, last: mother}
                del taken[mother]
        linked[frame] = names[image]
        gone = (linked[frame] == 0) & np.isin(before, linked[frame - 1]) & (frame > 0)
        before = np.where(gone & ~np.isin(before, linked[frame]), before, linked[frame])
        before[np.isin(before, list(parents.values()))] = 0
    return linked, parents


def link_by_laptrack(objects: Sequence[Labels], moves: Sequence[NDArray[np.float64]]) -> Linked:
    """Link centres with LapTrack, with divisions and gaps of a frame.

    Raises
    ------
    ImportError
        If `laptrack` is not installed.
    """
    import pandas
    from laptrack import LapTrack

    drift = np.cumsum(moves, axis=0)
    tables = []
    for frame, image in enumerate(objects):
        table = pandas.DataFrame(regionprops_table(image, properties=("label", "centroid", "area")))
        table[["y", "x"]] = table[["centroid-0", "centroid-1"]] - drift[frame]
        tables.append(table.assign(frame=frame))
    spots = pandas.concat(tables, ignore_index=True)
    width = 2 * np.sqrt(spots["area"].median() / np.pi)
    reach = float(width**2)
    tracker = LapTrack(
        cutoff=reach,
        splitting_cutoff=reach,
        gap_closing_cutoff=reach,
        gap_closing_max_frame_count=1,
    )
    tracks, splits, _ = tracker.predict_dataframe(
        spots, ["y", "x"], frame_col="frame", only_coordinate_cols=False
    )
    linked = np.zeros((len(objects), *objects[0].shape), np.uint16)
    for frame, name, track in tracks[["frame", "label", "track_id"]].to_numpy(int):
        linked[frame][objects[frame] == name] = track + 1
    return linked, {int(d) + 1: int(m) + 1 for m, d in splits.to_numpy(int)} if len(splits) else {}
