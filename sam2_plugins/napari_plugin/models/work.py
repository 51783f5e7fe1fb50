"""An image that is worked on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sam2_plugins.napari_plugin.layers.mask_store import Change
from sam2_plugins.napari_plugin.layers.workspace import Workspace
from sam2_plugins.napari_plugin.models.history import History, State
from sam2_plugins.napari_plugin.models.project_file import Choices, Project, Saved
from sam2_plugins.napari_plugin.models.project_places import facts_of
from sam2_plugins.napari_plugin.models.session import Session


class Work:
    """An image that is worked on: its layers, its session, and what can be taken back.

    Attributes
    ----------
    taken
        Objects by the Labels layer, and the label in it, from which they were taken.
    stroke
        Masks from before a stroke of the brush that is not over.
    project
        The file to which all is saved; None: to none.
    """

    def __init__(self, workspace: Workspace, session: Session) -> None:
        self.workspace = workspace
        self.session = session
        self.taken: dict[tuple[str, int], int] = {}
        self.stroke: Change = {}
        self.history = History(workspace.store, self.capture, self.apply)
        self.project: Project | None = None

    def capture(self) -> State:
        """Return all that a person has made of the image, as plain values."""
        space, session = self.workspace, self.session
        return State(
            names=dict(space.names),
            mothers=dict(space.lineage.mothers),
            lives=dict(session.lives),
            painted=dict(session.painted),
            taken=dict(self.taken),
            marks=space.marks(),
            selected=space.drawing,
        )

    def apply(self, state: State) -> None:
        """Bring a state about; what the model has to know of it is for a sync to say."""
        space, session = self.workspace, self.session
        _set(space.names, state.names)
        _set(space.lineage.mothers, state.mothers)
        _set(session.lives, state.lives)
        _set(session.painted, state.painted)
        _set(self.taken, state.taken)
        space.set_marks(state.marks)

    def save_to(self, project: Project | None, choices: Callable[[], Choices]) -> None:
        """Append every change from now on to a project file."""
        self.leave_project()
        if project is None:
            return
        self.project = project
        self.workspace.store.on_put = project.put_mask
        self.history.on_change = lambda: project.put_state(self.saved(choices(), masks=False))

    def leave_project(self) -> None:
        """Write no more to the project file."""
        if self.project is not None:
            self.workspace.store.on_put = lambda index, label, mask: None
            self.history.on_change = lambda: None
            self.project.close()
            self.project = None

    def saved(self, choices: Choices, masks: bool = True) -> Saved:
        """Return all work on the image."""
        current = {key: frozenset(frames) for key, frames in self.session.current.items()}
        store = self.workspace.store
        return Saved(
            # The layers' own shape: the image may have got another one meanwhile.
            replace(facts_of(self.workspace.image), shape=store.shape),
            self.capture(),
            choices,
            store.snapshot() if masks else {},
            current,
        )

    def recall(self, saved: Saved) -> None:
        """Show the work of an earlier session; nothing can be taken back of it."""
        for index, masks in saved.masks.items():
            for label, mask in masks.items():
                self.workspace.store.put(index, label, mask)
        self.apply(saved.state)
        for (line, label), frames in saved.current.items():
            self.session.recall(line, {}, {label: set(frames)})
        self.history = History(self.workspace.store, self.capture, self.apply)

    def end_stroke(self) -> None:
        """Let what was painted since the last stroke be one edit."""
        stroke, self.stroke = self.stroke, {}
        if stroke:
            self.history.record("stroke of the brush", stroke)


def _set(mapping: dict[Any, Any], values: Any) -> None:
    """Give a mapping, which others hold, other content in its order."""
    mapping.clear()
    mapping.update(values)
