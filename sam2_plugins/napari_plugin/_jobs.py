"""The old path of `controllers`, for scripts that import from here."""

from sam2_plugins.napari_plugin.controllers import AtOnce, InThreads, Jobs

__all__ = ["AtOnce", "InThreads", "Jobs"]
