"""A frame with its masks, as a picture for the panel."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

from PIL import Image

from sam2_plugins.core.export import overlay
from sam2_plugins.core.masks import ObjectId, ObjectMask
from sam2_plugins.fiftyone_plugin.documents import plain
from sam2_plugins.fiftyone_plugin.footage import Footage
from sam2_plugins.fiftyone_plugin.labels import detection_mask
from sam2_plugins.fiftyone_plugin.objects import object_name

WIDEST = 640
"""Pixels of the longer side: it travels with every message of the panel."""


def frame_picture(footage: Footage, field_name: str, number: int) -> Image.Image:
    """Draw the masks of a field over a frame, with the objects' names.

    Parameters
    ----------
    number
        Of the frame, from 1.

    Raises
    ------
    FrameSourceError
        If the frame cannot be read.
    """
    with footage.open() as frames:
        image = frames[number - 1].image
        size = (frames.height, frames.width)
    masks: dict[ObjectId, ObjectMask] = {}
    for _, value in footage.read(field_name, [number - 1]):
        for label in value.detections:
            mask = detection_mask(plain(label), size)
            if mask is not None:
                masks[object_name(label.label, label.index)] = mask
    return Image.fromarray(overlay(image, masks, scale=min(1.0, WIDEST / max(size))))


def as_link(picture: Image.Image) -> str:
    """Return a picture as a link that holds it."""
    data = BytesIO()
    picture.save(data, "JPEG", quality=85)
    return "data:image/jpeg;base64," + b64encode(data.getvalue()).decode()
