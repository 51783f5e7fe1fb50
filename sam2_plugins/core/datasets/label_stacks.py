"""Label images in files: one number per pixel, 0 for the background; or drawn pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import (
    DAMAGE,
    is_zarr,
    kind_of,
    list_images,
    open_frames,
    read_image,
    read_pages,
    read_zarr,
    refusal_of,
)
from sam2_plugins.core.masks import NotLabelsError, labels_from_picture, whole_numbers

LABEL_STACK_NAME = "labels.tif"  # what `track --format tiff` writes
_IMAGES = {".png", ".tif", ".tiff", ".bmp"}
_LOSSY = {"JPEG", "MPO", "AVIF", "WEBP"}  # WebP may be lossless, which does no harm
_JPEG_IN_TIFF = (6, 7, 33007)
_VOID = (224, 224, 192)  # colour 255 of PASCAL VOC and DAVIS: neither ground nor object
_WHITE_IS_ZERO, _PALETTE = 0, 3  # photometric interpretations of TIFF 6.0


def load_label_stack(path: str | Path) -> NDArray[Any]:
    """Load labels as [T, H, W] integers.

    Parameters
    ----------
    path
        A .npy file, a multi-page TIFF, an image, labels of an OME-Zarr or another zarr array, or a
        folder of PNG, BMP or TIFF label images in the order of their times, as their names tell it.
        A folder that `track` wrote stands for its `labels.tif`. Where images are coloured, each
        colour is an object, numbered from 1.

    Raises
    ------
    FrameSourceError
        If there is no such stack, a file is damaged, or an image is not one of labels or not of
        the size of the first.
    """
    path = Path(path)
    if (path / LABEL_STACK_NAME).is_file():
        path = path / LABEL_STACK_NAME
    files = [path]
    if path.is_dir() and not is_zarr(path):
        files = _label_images(path)
        if not files:
            raise FrameSourceError(f"{path} has no label images: PNG or TIFF, one per frame.")
    stacks = [_read(file) for file in files]
    if any(coloured for _, coloured in stacks):  # then what is white on one frame is a colour, too
        stacks = [
            stack if stack[1] else _read(file, as_colours=True)
            for file, stack in zip(files, stacks, strict=True)
        ]
    labels = _stacked([(file, stack) for file, (stack, _) in zip(files, stacks, strict=True)])
    if any(coloured for _, coloured in stacks):
        return _numbered(labels)
    return labels


def load_labels_of(movie: Path, path: Path) -> NDArray[Any]:
    """Load labels as `load_label_stack` does, each in the place of its frame; see `places_of`."""
    stack, places = load_label_stack(path), places_of(movie, path)
    if places is None or len(places) != len(stack):
        return stack
    placed = np.zeros((max(places) + 1, *stack.shape[1:]), stack.dtype)
    placed[places] = stack
    return placed


def places_of(movie: Path, path: Path) -> list[int] | None:
    """Tell which frames of a movie have a label image in a folder, by the names of the files.

    None: they follow one another from the first frame on, or it is no folder.

    Raises
    ------
    FrameSourceError
        If one is missing before or between the others, and no name tells which frames these are of.
    """
    if not path.is_dir() or is_zarr(path) or (path / LABEL_STACK_NAME).is_file():
        return None
    labels, frames = _label_images(path), list_images(movie) if movie.is_dir() else []
    if len(labels) == len(frames):
        return None
    keys: tuple[Callable[[Path], Hashable], ...] = (lambda file: file.stem, _last_number)
    for key in keys:
        wanted, at = [key(file) for file in labels], {key(f): i for i, f in enumerate(frames)}
        if len(at) == len(frames) and set(wanted) <= at.keys() and len(set(wanted)) == len(wanted):
            return [at[one] for one in wanted]
    numbers = {number for file in labels if (number := _last_number(file)) is not None}
    missing = next(n for n in count(min({1, *numbers})) if n not in numbers)
    if len(numbers) == len(labels) and missing < max(numbers, default=0):
        with open_frames(movie) as opened:
            if opened.length != len(labels):
                raise FrameSourceError(
                    f"{path} has no label image {missing}, so which frames of {movie} those "
                    "after it are of is not clear: name frames and label images alike, or put "
                    "empty images where they are missing, from the number of the first frame on."
                )
    return None


def _label_images(folder: Path) -> list[Path]:
    return [file for file in list_images(folder) if file.suffix.lower() in _IMAGES]


def _last_number(file: Path) -> int | None:
    numbers = re.findall(r"\d+", file.stem)
    return int(numbers[-1]) if numbers else None


def read_labels(path: Path) -> NDArray[Any]:
    """Read one file of labels.

    Colours become labels from 1 on, the same for the same colour in any file.

    Raises
    ------
    FrameSourceError
        If it cannot be read, or holds no labels.
    """
    return _read(path)[0]


def _read(path: Path, *, as_colours: bool = False) -> tuple[NDArray[Any], bool]:
    """Read labels, and whether they stand for colours; grey does, too, if `as_colours`."""
    try:
        if is_zarr(path):
            return whole_numbers(read_zarr(path)), False
        kind = kind_of(path)
        if kind == "array":
            return _from_array(np.load(path, allow_pickle=False))
        return (_from_tiff if kind == "tiff" else _from_image)(path, as_colours)
    except FrameSourceError:
        raise
    except NotLabelsError as error:
        raise FrameSourceError(f"{path} {error}.") from error
    except FileNotFoundError as error:
        raise FrameSourceError(f"There is no {path}.") from error
    except UnidentifiedImageError as error:
        reason = refusal_of(path) or f"{path} is no image of labels: take PNG, TIFF or .npy."
        raise FrameSourceError(reason) from error
    except DAMAGE as error:
        raise FrameSourceError(f"{path} cannot be read: {error}.") from error


def _from_array(array: NDArray[Any]) -> tuple[NDArray[Any], bool]:
    if array.ndim == 3 and array.shape[2] in (3, 4) and min(array.shape[:2]) > array.shape[2]:
        return labels_from_picture(array), True
    return whole_numbers(array), False


def _from_tiff(path: Path, as_colours: bool) -> tuple[NDArray[Any], bool]:
    with tifffile.TiffFile(path) as tif:
        page, is_stack = tif.pages.first, len(tif.pages) > 1
        photometric, lossy = page.photometric, int(page.compression) in _JPEG_IN_TIFF
    if photometric == _PALETTE and not is_stack:
        return _from_image(path, as_colours)
    if page.axes == "SYX" or (is_stack and photometric in (_WHITE_IS_ZERO, _PALETTE)):
        # The numbers of a stack, as programs that count cells write it, are the labels.
        stored, _ = read_pages(path, as_stored=True)
        if page.axes != "SYX" or not _may_be_colours(stored):
            return whole_numbers(stored), False
    stack, axes = read_pages(path)
    # tifffile takes any last axis of 3 or 4 for colours, of the smallest stacks, too.
    if axes.endswith("S") and min(stack.shape[-3:-1]) > stack.shape[-1]:
        pages = stack.reshape(-1, *stack.shape[-3:])
        as_colours |= bool(np.any(pages[..., :3] != pages[..., :1]))
        labels = [labels_from_picture(one, lossy=lossy, as_colours=as_colours) for one in pages]
        return np.stack(labels).reshape(stack.shape[:-1]), True
    if stack.ndim == 2:
        return labels_from_picture(stack, lossy=lossy, as_colours=as_colours), False
    return whole_numbers(stack), False


def _may_be_colours(planes: NDArray[Any]) -> bool:
    """Whether planes are colours that a person drew with: tifffile takes 3 or 4 frames for some."""
    if planes.shape[-3] not in (3, 4) or planes.dtype not in (np.uint8, np.uint16):
        return False
    return bool(planes.max() > np.iinfo(planes.dtype).max // 2)


def _from_image(path: Path, as_colours: bool) -> tuple[NDArray[Any], bool]:
    with Image.open(path) as image:
        lossy = image.format in _LOSSY
        indices = _indices(image) if image.mode == "P" and not as_colours else None
        if indices is not None:
            return indices, False
        if image.mode in {"LA", "La"}:
            picture = np.asarray(image.convert("LA"))
        elif "transparency" in image.info and image.mode in {"P", "RGB", "L"}:
            picture = np.asarray(image.convert("RGBA"))
        else:
            picture = read_image(path)
    labels = labels_from_picture(picture, lossy=lossy, as_colours=as_colours)
    return labels, labels.dtype == np.uint32


def _indices(image: Image.Image) -> NDArray[Any] | None:
    """Return the indices of a palette that begins with black or nothing: they are the labels.

    Programs that draw put their colours into a palette in any order: there the colours count.
    """
    palette = np.reshape(image.getpalette() or [0], (-1, 3))
    indices = np.asarray(image)
    if image.info.get("transparency") != 0 and palette[0].any():
        return None
    edge = np.concatenate([indices[0], indices[-1], indices[:, 0], indices[:, -1]])
    if np.all(palette[edge[edge < len(palette)]] == 255):  # drawn on white
        return None
    if len(palette) < 256:
        return indices
    if np.all(palette == np.arange(256)[:, None]):
        return None
    is_void = (indices == 255) & np.all(palette[255] == _VOID)
    return np.where(is_void, 0, indices)


def _stacked(images: list[tuple[Path, NDArray[Any]]]) -> NDArray[Any]:
    """Bring images, or one stack, to [T, H, W]."""
    stack = images[0][1]
    if len(images) == 1 and stack.ndim == 3:
        return stack
    for path, image in images:
        if image.ndim != 2:
            raise FrameSourceError(
                f"{path} is an array of {image.shape}: a label stack is (frames, height, width), "
                "and in a folder each image is one frame."
            )
        if image.shape != stack.shape:
            raise FrameSourceError(f"{path} is {image.shape}, but the first is {stack.shape}.")
    return np.stack([image for _, image in images])


def _numbered(labels: NDArray[Any]) -> NDArray[Any]:
    """Number the labels from 1, the same for the same colour on all frames."""
    found, inverse = np.unique(np.append(0, labels.ravel()), return_inverse=True)
    dtype = np.uint16 if len(found) < 1 << 16 else np.uint32
    return inverse.ravel()[1:].reshape(labels.shape).astype(dtype)
