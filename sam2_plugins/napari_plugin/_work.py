"""An image that is worked on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sam2_plugins.napari_plugin._session import Session
from sam2_plugins.napari_plugin._workspace import Workspace


@dataclass
class Work:
    """An image that is worked on: its layers, its session, and what can be taken back."""

    workspace: Workspace
    session: Session
    undo: list[Callable[[], str]] = field(default_factory=list)
    taken: dict[tuple[str, int], int] = field(default_factory=dict)
    """Objects by the Labels layer, and the label in it, from which they were taken."""
