"""Masks in compact form, and all conversions between a mask and other forms."""

from sam2_plugins.core.masks.label_images import (
    LARGEST_LABEL,
    back_to_front,
    compose_label_image,
    label_dtype,
    split_label_image,
)
from sam2_plugins.core.masks.label_pictures import (
    NotLabelsError,
    labels_from_picture,
    whole_numbers,
)
from sam2_plugins.core.masks.mask_table import MaskTable
from sam2_plugins.core.masks.masklet import Masklet
from sam2_plugins.core.masks.object_mask import ObjectId, ObjectMask, PixelBox, plain_id

__all__ = [
    "LARGEST_LABEL",
    "MaskTable",
    "Masklet",
    "NotLabelsError",
    "ObjectId",
    "ObjectMask",
    "PixelBox",
    "back_to_front",
    "compose_label_image",
    "label_dtype",
    "labels_from_picture",
    "plain_id",
    "split_label_image",
    "whole_numbers",
]
