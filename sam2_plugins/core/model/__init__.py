"""The SAM 2 network, one module per box of the paper's figure."""

from sam2_plugins.core.model.object_finder import ObjectFinder
from sam2_plugins.core.model.outline_refiner import OutlineRefiner
from sam2_plugins.core.model.sam2 import (
    Decoded,
    ImageFeatures,
    Memories,
    Sam2Model,
    build_model,
)

__all__ = [
    "Decoded",
    "ImageFeatures",
    "Memories",
    "ObjectFinder",
    "OutlineRefiner",
    "Sam2Model",
    "build_model",
]
