"""What the dock does, without Qt: layers and buttons in, work for the models out."""

from sam2_plugins.napari_plugin.controllers.controller import Controller
from sam2_plugins.napari_plugin.controllers.jobs import AtOnce, InThreads, Jobs

__all__ = ["AtOnce", "Controller", "InThreads", "Jobs"]
