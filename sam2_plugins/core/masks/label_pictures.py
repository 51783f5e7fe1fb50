"""Label images out of pictures that people draw: white on black, colours, soft edges, JPEG.

A picture is flat where it is drawn, and has other colours only where two flat ones meet: those
belong to the nearest flat one. A photograph is hardly flat anywhere, and is refused.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

WHITE = 255
"""Label of what is white on black, which is an object without a number."""

_SOFT_EDGE_PX = 3
_BLEND_DISTANCE = 32  # of a colour from the line between two flat ones: blends are not quite linear
_LOSSY_DISTANCE = 60  # between colours that compression does not make of one
_MOST_BLENDS = 20_000  # colours between flat ones
_LOSSY_SPREAD = 24  # of one flat colour in a lossy picture
_LOSSY_LEVELS = 51  # colours of lossy pictures are brought to these steps, to be alike in a movie
_MOST_LOSSY_COLOURS = 16
_SMALLEST_SPOT_PX = 3  # across, of another colour, in a lossy picture
_SPOT_BLUR_PX = 8  # as far as compression smears it
_SEAM_PX = 12  # across which compression smears the hues of two flat colours
_HUE_DISTANCE = 40  # of such a hue from the line between the two
_SMALLEST_MISSED = 12  # pixels that are neither of a flat colour nor of a seam
# Brightness and the two differences of colour that JPEG keeps, of red, green and blue: ITU-T T.871.
_LUMA_AND_HUE = np.array([[0.299, -0.169, 0.5], [0.587, -0.331, -0.419], [0.114, 0.5, -0.081]])
_STRAY_SHARE = 0.02  # of the pixels, that are of no flat colour in a picture that was drawn
_FEWEST_SHADES = 8  # of grey between flat ones, from which on they are soft edges
_MANY_COLOURS = 64  # more labels than this, in many pieces each, are no objects
_MANY_PIECES = 8
_WHOLE_BORDER = 0.95  # of the border, that nothing but the ground covers

Labels = NDArray[Any]
Colours = NDArray[np.uint8]


class NotLabelsError(ValueError):
    """An image that holds no labels; the message goes on after the name of the file."""


def labels_from_picture(
    picture: NDArray[Any], *, lossy: bool = False, as_colours: bool = False
) -> Labels:
    """Read the labels of a picture.

    Parameters
    ----------
    picture
        Whole numbers [H, W], or colours [H, W, C] of grey and alpha, RGB, or RGBA.
    lossy
        Whether it was compressed so that colours changed.
    as_colours
        Whether grey is a colour like others, as where other frames of a movie have colours.

    Returns
    -------
    NDArray
        [H, W]. Numbers stay as they are, with negative ones as background. Colours become labels
        from 1 on, the same for the same colour in any picture. The background is what is
        transparent; or else the colour of the whole border, or nearly; or else black.

    Raises
    ------
    NotLabelsError
        If it is no picture of labels; the message names what it is.
    """
    image = np.asarray(picture)
    if as_colours and image.ndim == 2 and image.dtype == np.uint8:
        image = np.repeat(image[..., None], 3, axis=2)
    if image.ndim == 3 and image.shape[2] in (2, 3, 4):
        labels = _from_colours(image, lossy, as_colours)
    elif image.ndim != 2:
        raise NotLabelsError(
            f"is an image of {image.shape}: labels are one number or colour a pixel"
        )
    elif image.dtype == np.uint8:
        labels = _without_white_ground(_from_shades(image, lossy))
    elif image.dtype == bool:
        labels = _without_white_ground(image.astype(np.uint8) * WHITE)
    elif image.dtype == np.uint16 and np.isin(image, (0, np.iinfo(np.uint16).max)).all():
        labels = _without_white_ground((image >> 8).astype(np.uint8))
    else:
        labels = whole_numbers(image)
    if _is_scattered(labels):
        raise _photograph()
    return labels


def whole_numbers(labels: NDArray[Any]) -> Labels:
    """Return labels as integers from 0 on.

    Raises
    ------
    NotLabelsError
        If some are fractions, or negative ones leave open which the background is.
    """
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        labels = np.where(np.isnan(labels), -1, labels)  # no label, as negative ones are none
    if labels.dtype.kind == "f" and np.isfinite(labels).all() and not np.any(labels % 1):
        labels = labels.astype(np.int64)  # ImageJ and others save labels as floats
    if labels.dtype.kind not in "bui":
        raise NotLabelsError(f"holds {labels.dtype}: labels are whole numbers")
    if labels.dtype.kind != "i" or not labels.size or labels.min() >= 0:
        return labels
    if np.any(labels == 0):
        raise NotLabelsError(
            "has pixels of 0, and others of negative numbers or of none (nan): make 0 the "
            "background, and number the objects from 1"
        )
    return np.where(labels < 0, 0, labels)


def _from_colours(image: NDArray[Any], lossy: bool, as_colours: bool) -> Labels:
    if image.dtype.kind not in "bu" or image.dtype.itemsize > 2:
        raise NotLabelsError(f"has colours of type {image.dtype}: 8 or 16 bits are read")
    alpha = image[..., -1] if image.shape[2] in (2, 4) else None
    colours = image[..., : image.shape[2] - (alpha is not None)]
    clear = None if alpha is None else alpha < np.iinfo(image.dtype).max // 4
    is_grey = np.all(colours == colours[..., :1]) or (lossy and _is_nearly_grey(colours))
    if is_grey and not as_colours:
        grey = colours[..., 0]
        drawn = grey if clear is None else np.where(clear, 0, grey)
        if clear is not None and clear.any() and not drawn.any():
            return np.where(clear, 0, WHITE).astype(np.uint8)  # black on nothing
        return labels_from_picture(drawn, lossy=lossy)
    if colours.dtype == np.uint16:
        colours = (colours >> 8).astype(np.uint8)
    colours = np.broadcast_to(colours, (*colours.shape[:2], 3))
    codes = _code(colours)
    if clear is not None and clear.any():
        codes += 1  # so that black is a colour, and nothing is 0
        codes[clear] = 0
        return _flat(codes, 1) if not lossy else _flat_lossy(colours, clear)
    if lossy:
        return _flat_lossy(colours, None)
    return _without_background(_flat(codes, 0))


def _from_shades(image: Colours, lossy: bool) -> Labels:
    """Shades of grey are labels, but for the soft edges of what is white, or of few shades."""
    if lossy:
        return _shades_lossy(image)
    found = np.flatnonzero(np.bincount(image.ravel(), minlength=256))
    if len(found) < 3 or (WHITE not in found and len(found) <= _FEWEST_SHADES):
        return image  # too few for soft edges
    flat = _is_flat(image)
    shades = set(np.unique(image[flat]).tolist())
    between = np.setdiff1d(image, list(shades))
    if not between.size:
        return image
    if WHITE in shades and shades <= {0, WHITE}:
        return np.where(image > 127, WHITE, 0).astype(np.uint8)
    drawn = flat & (image > 0)
    soft = ~flat & np.isin(image, between)
    brightest = ndimage.maximum_filter(np.where(drawn, image, 0), 2 * _SOFT_EDGE_PX + 3)
    fades = image < brightest  # edges fade from what is drawn beside them
    is_soft = len(between) >= max(_FEWEST_SHADES, 2 * len(shades)) and fades[soft].mean() > 0.95
    return _nearest_flat(image, soft) if is_soft else image


def _shades_lossy(image: Colours) -> Labels:
    shades = np.array([colour[0] for colour in _outstanding(image[..., None].repeat(3, -1))])
    if len(shades) <= 2:
        return np.where(image > 127, WHITE, 0).astype(np.uint8)
    distances = np.abs(image[..., None].astype(np.int16) - shades.astype(np.int16))
    if np.mean(distances.min(-1) > _LOSSY_DISTANCE) > _STRAY_SHARE:
        raise _photograph()
    soft = distances.min(-1) > _LOSSY_DISTANCE // 2
    return _nearest_flat(shades[distances.argmin(-1)].astype(np.uint8), soft)


def _flat(codes: NDArray[np.uint32], shift: int) -> Labels:
    """Give pixels of blended colours to the nearest flat one."""
    flat = _is_flat(codes)
    solid, rest = np.unique(codes[flat]), np.setdiff1d(codes, codes[flat])
    if not len(rest):
        return codes
    if len(rest) > _MOST_BLENDS:
        raise _photograph()
    blended = rest[_is_blend(_rgb(rest - shift), _rgb(solid[solid >= shift] - shift))]
    soft = np.isin(codes, blended)
    stray = np.isin(codes, np.setdiff1d(rest, blended))
    near = ndimage.distance_transform_edt(~flat) <= _SOFT_EDGE_PX
    if np.mean(stray | (soft & ~near)) > _STRAY_SHARE:
        raise _photograph()
    return _nearest_flat(codes, soft)


def _flat_lossy(colours: Colours, clear: NDArray[np.bool_] | None) -> Labels:
    """Take the few colours that stand out, and give every pixel to the nearest."""
    palette = _outstanding(colours)
    palette += _of_small_spots(colours, palette)
    if len(palette) > _MOST_LOSSY_COLOURS:
        raise _blurred()
    distances = _distances(colours, palette)
    nearest = distances.argmin(0)
    if _merges(colours, nearest) or _misses(colours, nearest, distances.min(0) > _LOSSY_DISTANCE):
        raise _blurred()
    codes = _code(np.array(palette))[nearest]
    if clear is not None:
        return np.where(clear, 0, codes + 1).astype(np.uint32)
    return _without_background(codes)


def _merges(colours: Colours, nearest: NDArray[np.int64]) -> bool:
    """Whether what is given to one colour is flat in several."""
    flat = _is_nearly_flat(colours)
    for one in np.unique(nearest[flat]):
        of_one = flat & (nearest == one)
        off = np.abs(colours - np.median(colours[of_one], axis=0)).max(-1) > _LOSSY_DISTANCE // 2
        if ndimage.binary_opening(of_one & off, np.ones((3, 3))).any():
            return True
    return False


def _misses(colours: Colours, nearest: NDArray[np.int64], far: NDArray[np.bool_]) -> bool:
    """Whether pixels that are far from all colours are not the seam of two of them.

    Compression smears hues far beyond a seam, and brightness little.
    """
    flat = _is_nearly_flat(colours)
    pixels = colours @ _LUMA_AND_HUE
    ends, around = [], []
    for one in np.unique(nearest):
        of_one = nearest == one
        core = of_one & flat if (of_one & flat).any() else of_one & ~far
        ends.append(np.median(pixels[core], axis=0))
        around.append(ndimage.maximum_filter(core, 2 * _SEAM_PX + 1))
    seams = np.zeros_like(far)
    for k, m in combinations(range(len(ends)), 2):
        here = far & around[k] & around[m]
        start, line = ends[k], ends[m] - ends[k]
        luma, hues = pixels[here][:, 0] - start[0], pixels[here][:, 1:] - start[1:]
        along = np.clip(hues @ line[1:] / max(1.0, line[1:] @ line[1:]), 0, 1)
        low, high = sorted((0.0, line[0]))
        is_blend = np.abs(hues - along[:, None] * line[1:]).max(1) <= _HUE_DISTANCE
        seams[here] |= is_blend & (luma > low - _LOSSY_DISTANCE) & (luma < high + _LOSSY_DISTANCE)
    spots, _ = ndimage.label(far & ~seams, np.ones((3, 3)))
    return bool((np.bincount(spots.ravel())[1:] >= _SMALLEST_MISSED).any())


def _outstanding(colours: Colours) -> list[NDArray[np.int64]]:
    """Return the frequent colours that are far from one another, the most frequent first.

    Only of pixels that are nearly like all around them: others may be blends.
    """
    colours = colours[_is_nearly_flat(colours)]
    steps = np.rint(colours / _LOSSY_LEVELS).astype(np.uint32) * _LOSSY_LEVELS
    codes = _code(steps)
    found, counts = np.unique(codes, return_counts=True)
    kept: list[NDArray[np.int64]] = []
    exact: list[NDArray[np.float64]] = []
    for index in np.argsort(-counts):
        if counts[index] < max(16, len(colours) // 2000):
            break
        # Steps may bring together what is far apart, 80 and 160.
        colour, mean = _rgb(found[index]), colours[codes == found[index]].mean(0)
        apart = (np.abs([colour - a, mean - b]).max() for a, b in zip(kept, exact, strict=True))
        if all(distance > _LOSSY_DISTANCE for distance in apart):
            kept.append(colour)
            exact.append(mean)
    return kept


def _is_nearly_flat(colours: Colours) -> NDArray[np.bool_]:
    around = (5, 5, 1)
    spread = ndimage.maximum_filter(colours, around) - ndimage.minimum_filter(colours, around)
    return np.asarray(spread.max(-1) <= _LOSSY_SPREAD)


def _of_small_spots(colours: Colours, palette: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return the colours of spots too small to be flat anywhere, amid a single flat one.

    Between two flat ones, what has another colour is their seam.
    """
    distances = _distances(colours, palette)
    distance = distances.min(0)
    ground = np.where(_is_nearly_flat(colours), distances.argmin(0), -1)
    spots, _ = ndimage.label(distance > _LOSSY_DISTANCE, ndimage.generate_binary_structure(2, 2))
    found: list[NDArray[np.int64]] = []
    for spot, (rows, columns) in enumerate(ndimage.find_objects(spots), 1):
        around = np.s_[
            max(rows.start - _SPOT_BLUR_PX, 0) : rows.stop + _SPOT_BLUR_PX,
            max(columns.start - _SPOT_BLUR_PX, 0) : columns.stop + _SPOT_BLUR_PX,
        ]
        is_spot = spots[around] == spot
        lies_amid = len(np.unique(ground[around][ground[around] >= 0])) == 1
        if not lies_amid or min(np.ptp(np.nonzero(is_spot), axis=1)) < _SMALLEST_SPOT_PX - 1:
            continue
        farthest = np.where(is_spot, distance[around], -1).argmax()
        colour = colours[around].reshape(-1, 3)[farthest].astype(np.int64)
        if all(np.abs(colour - other).max() > _LOSSY_DISTANCE for other in found):
            found.append(colour)
    return found


def _distances(colours: Colours, palette: list[NDArray[np.int64]]) -> NDArray[np.int16]:
    """Largest difference in red, green or blue from each colour, [N, H, W]."""
    return np.stack([np.abs(colours - one.astype(np.int16)).max(-1) for one in palette])


def _without_background(codes: Labels) -> Labels:
    """Number colours from 1 on, and take the ground of the picture for 0."""
    ground, share = _of_border(codes)
    if share < _WHOLE_BORDER and not codes.all():
        ground = 0  # black
    return np.where(codes == ground, 0, codes + 1).astype(codes.dtype)


def _without_white_ground(labels: Labels) -> Labels:
    """Turn over what is drawn in black on white."""
    ground, share = _of_border(labels)
    if ground == WHITE and share >= _WHOLE_BORDER and np.isin(labels, (0, WHITE)).all():
        return (WHITE - labels).astype(labels.dtype)
    return labels


def _of_border(labels: Labels) -> tuple[int, float]:
    """Return the label of most of the border, and its share."""
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    values, counts = np.unique(border, return_counts=True)
    return int(values[counts.argmax()]), float(counts.max() / counts.sum())


def _is_flat(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether pixels are like those around them, of which corners do not count."""
    cross = ndimage.generate_binary_structure(2, 1)
    largest = ndimage.maximum_filter(values, footprint=cross, mode="nearest")
    return largest == ndimage.minimum_filter(values, footprint=cross, mode="nearest")


def _nearest_flat(values: NDArray[Any], soft: NDArray[np.bool_]) -> Labels:
    rows, columns = ndimage.distance_transform_edt(
        soft | ~_is_flat(values), return_distances=False, return_indices=True
    )
    return np.where(soft, values[rows, columns], values)


def _is_blend(colours: NDArray[np.int64], flat: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether colours lie near a line between two of the flat ones."""
    found = np.zeros(len(colours), bool)
    flat = flat[:64]
    for k, start in enumerate(flat):
        for line in flat[k + 1 :] - start:
            along = np.clip((colours - start) @ line / max(1, line @ line), 0, 1)
            off = np.abs(colours - start - along[:, None] * line).max(1)
            found |= off <= _BLEND_DISTANCE
    return found


def _is_scattered(labels: Labels) -> bool:
    """Whether there are many labels in many pieces each, as the levels of a photograph are."""
    is_small = labels.dtype == np.uint8
    found = np.flatnonzero(np.bincount(labels.ravel())) if is_small else np.unique(labels)
    if len(found) <= _MANY_COLOURS:
        return False
    from skimage import measure  # which takes half a second to import

    pieces = measure.label(labels.astype(np.int64), background=0, connectivity=1)
    return bool(pieces.max() > _MANY_PIECES * len(found))


def _code(colours: NDArray[Any]) -> NDArray[np.uint32]:
    return colours.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)


def _rgb(codes: NDArray[Any]) -> NDArray[np.int64]:
    return np.stack([codes >> 16 & 255, codes >> 8 & 255, codes & 255], -1).astype(np.int64)


def _is_nearly_grey(colours: Colours) -> bool:
    spread = colours.max(-1).astype(int) - colours.min(-1)
    return bool(np.mean(spread > 24) < 0.001)


def _blurred() -> NotLabelsError:
    return NotLabelsError(
        "looks like a photograph, or has colours that compression blurred: save masks as PNG, "
        "flat, with one number or colour for each object"
    )


def _photograph() -> NotLabelsError:
    return NotLabelsError(
        "looks like a photograph: a mask is flat, with one number or colour for each object"
    )
