"""Modules that moved are still found under the names that people may have in their scripts."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_CORE = "sam2_plugins.core."

MOVED = {
    "atomic": "files",
    "decoding": "tracking.resample",
    "feature_cache": "tracking.feature_cache",
    "following": "tracking.windows.follow",
    "image": "tracking.image_segmenter",
    "journal": "masks.journal",
    "looking": "tracking.windows.scale_search",
    "memories": "tracking.memory.policies",
    "memory_bank": "tracking.memory.bank",
    "metrics": "evaluation.metrics",
    "motion": "tracking.windows.jump",
    "plan": "tracking.schedule",
    "plots": "evaluation.figure",
    "policies": "tracking.memory.policies",
    "profiling": "tracking.profiling",
    "steps": "tracking.operations",
    "tiling": "tracking.windows.planner",
    "tracked_object": "tracking.tracked_object",
    "tracker": "tracking.tracker",
    "views": "tracking.test_time_augmentation",
}
"""Old name to new, both below `sam2_plugins.core`."""


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
        old = fullname.removeprefix(_CORE)
        if old == fullname or old not in MOVED:
            return None
        new = _CORE + MOVED[old]
        warnings.warn(f"{fullname} is now {new}.", DeprecationWarning, stacklevel=2)
        return ModuleSpec(fullname, _Alias(new))


def announce_old_names() -> None:
    """Let the old names be imported, each with a note on the new one."""
    if not any(isinstance(finder, _OldNames) for finder in sys.meta_path):
        sys.meta_path.append(_OldNames())
