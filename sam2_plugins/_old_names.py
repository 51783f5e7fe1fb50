"""Modules that moved are still found under the names that people may have in their scripts."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_PACKAGE = "sam2_plugins."

MOVED = {
    "core.atomic": "core.files",
    "core.datasets.ctc_format": "core.datasets.ctc",
    "core.datasets.labelled_frames": "core.datasets.dataset",
    "core.decoding": "core.tracking.resample",
    "core.export.numbering": "core.export.registry",
    "core.export.writer": "core.export.registry",
    "core.feature_cache": "core.tracking.feature_cache",
    "core.following": "core.tracking.windows.follow",
    "core.image": "core.tracking.image_segmenter",
    "core.journal": "core.masks.journal",
    "core.looking": "core.tracking.windows.scale_search",
    "core.memories": "core.tracking.memory.policies",
    "core.memory_bank": "core.tracking.memory.bank",
    "core.metrics": "core.evaluation.metrics",
    "core.motion": "core.tracking.windows.jump",
    "core.plan": "core.tracking.schedule",
    "core.plots": "core.evaluation.report",
    "core.policies": "core.tracking.memory.policies",
    "core.profiling": "core.tracking.profiling",
    "core.steps": "core.tracking.operations",
    "core.tiling": "core.tracking.windows.planner",
    "core.tracked_object": "core.tracking.tracked_object",
    "core.tracker": "core.tracking.tracker",
    "core.views": "core.tracking.test_time_augmentation",
    "napari_plugin._controller": "napari_plugin.controllers",
    "napari_plugin._jobs": "napari_plugin.controllers",
    "napari_plugin._store": "napari_plugin.layers.mask_store",
    "training.pool": "training.batches",
}
"""Old name to new, both below `sam2_plugins`."""


class _Alias(Loader):
    """Gives the module of the new name for the old one."""

    def __init__(self, new: str) -> None:
        self._module = import_module(new)
        self._spec = self._module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        """The module ran under its new name, whose spec the import system has just replaced."""
        module.__spec__ = self._spec


class _OldNames(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        old = fullname.removeprefix(_PACKAGE)
        if old == fullname or old not in MOVED:
            return None
        new = _PACKAGE + MOVED[old]
        warnings.warn(f"{fullname} is now {new}.", DeprecationWarning, stacklevel=2)
        return ModuleSpec(fullname, _Alias(new))


def announce_old_names() -> None:
    """Let the old names be imported, each with a note on the new one."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())
