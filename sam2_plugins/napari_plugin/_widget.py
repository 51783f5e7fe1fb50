"""The old path of `views.dock`, for scripts that import from here."""

from sam2_plugins.napari_plugin.views.dock import Sam2Widget

__all__ = ["Sam2Widget"]
