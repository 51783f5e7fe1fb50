"""The old path of `layers.mask_store`, for scripts that import from here."""

from sam2_plugins.napari_plugin.layers.mask_store import MaskStore

__all__ = ["MaskStore"]
