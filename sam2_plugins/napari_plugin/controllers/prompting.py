"""What is drawn and painted becomes what the model is told, in a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sam2_plugins.core.errors import PromptError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.core.tracking.doubt import obeyed
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.label_layers import masks_at
from sam2_plugins.napari_plugin.layers.mask_store import Change, Entry, Index
from sam2_plugins.napari_plugin.models.session import Painted, Said, free_label, labels_of
from sam2_plugins.napari_plugin.models.work import Work

if TYPE_CHECKING:
    from sam2_plugins.napari_plugin.controllers.controller import Controller


class Prompting:
    """Compares what is drawn and painted with what was said, and says the difference.

    Attributes
    ----------
    telling
        Whether the model is looking at prompts.
    """

    def __init__(self, control: Controller) -> None:
        self._control = control
        self.telling = False
        self._waiting: list[Callable[[], None]] = []

    def sync(self, replaying: bool = False) -> None:
        """Tell the session what was drawn and painted since it was told last, in a worker.

        Parameters
        ----------
        replaying
            This follows from an undo or a redo, and is no edit of its own.
        """
        work, line = self._control.work, self._control.line
        if work is None or line is None or self.telling:
            return
        work.end_stroke()
        due = self.untold(work, line)
        if not due:
            return
        self.telling = True
        change: Change = {}
        view = self._control.view()
        frames = sorted({frame for frame, _ in due})
        self._control.told.emit(f"Looking at frame {', '.join(map(str, frames[:3]))} …")

        def tell() -> None:
            for (frame, label), said in due.items():
                work.session.say(view, line, frame, label, said, change, replaying)

        self._control.jobs.call(
            tell, lambda _: self._on_told(work, due, change, replaying), self._on_not_told
        )

    def wanted(self, work: Work, line: Line) -> dict[tuple[int, int], Said]:
        """All that is drawn and painted along a line, by frame and label."""
        wanted: dict[tuple[int, int], Said] = {}
        for (index, label), painted in work.session.painted.items():
            frame = line.frame(index)
            if frame is not None:
                wanted[frame, label] = (Prompt.of(frame, label, mask=painted.mask),)
        for (index, label), drawn in work.workspace.drawn(line).items():
            frame = line.frame(index)
            assert frame is not None
            wanted[frame, label] = (*wanted.get((frame, label), ()), *drawn)
        return wanted

    def untold(self, work: Work, line: Line) -> dict[tuple[int, int], Said]:
        """What should be said, where it differs from what was."""
        wanted, said = self.wanted(work, line), work.session.said(line)
        due = {key: prompts for key, prompts in wanted.items() if said.get(key, ()) != prompts}
        return {**due, **{key: () for key in said if key not in wanted}}

    def _on_told(
        self, work: Work, due: dict[tuple[int, int], Said], change: Change, replaying: bool
    ) -> None:
        self.telling = False
        for (_, label), said in due.items():
            if said and not replaying:
                work.workspace.names.setdefault(label, f"object {label}")
        if not replaying:
            work.history.record(_title(due), change)
        self._control.show(work)
        self._control.told.emit(self._not_obeyed(work, due))
        if not replaying:
            self._control.divisions.go_on({label for (_, label), said in due.items() if said})
        self._control.objects_changed.emit()
        self.sync()
        self._do_what_waits()

    def _not_obeyed(self, work: Work, due: dict[tuple[int, int], Said]) -> str:
        """Name the object whose mask goes against a click; "" if all were obeyed."""
        line = self._control.line
        for (frame, label), said in due.items():
            mask = None if line is None else work.workspace.store.get(line.index(frame), label)
            if mask is not None and said and not obeyed(mask, said):
                name = work.workspace.names.get(label, f"object {label}")
                return (
                    f"A click on {name} is not obeyed by its mask on frame {frame}: click once "
                    "more close by, or paint."
                )
        return ""

    def after(self, act: Callable[[], None]) -> None:
        """Do something when the model has answered."""
        if self.telling:
            self._waiting.append(act)
        else:
            act()

    def _do_what_waits(self) -> None:
        while self._waiting and not self.telling:
            self._waiting.pop(0)()

    def _on_not_told(self, error: Exception) -> None:
        """Take a refused prompt's marker away, so that it is not said again.

        After any other error the markers stay: what they say is said with the next one.
        """
        self.telling = False
        work, line = self._control.work, self._control.line
        if isinstance(error, PromptError) and work is not None and line is not None:
            said = work.session.said(line)
            for (frame, label), prompts in self.untold(work, line).items():
                if prompts:
                    index = line.index(frame)
                    work.workspace.erase(label, index)
                    for prompt in said.get((frame, label), ()):
                        if prompt.mask is None:
                            work.workspace.draw(index, label, prompt)
            self._control.reselect(work)
        self._control.fail(error)
        self._do_what_waits()

    def on_painted(self, index: Index, before: dict[int, ObjectMask | None]) -> None:
        """A person painted masks, or undid that: painted ones are prompts, and are kept."""
        work = self._control.work
        if work is None:
            return
        for label, mask in before.items():
            work.stroke.setdefault((index, label), mask)
            if self._is_unpainted(work, index, label):
                self._unpaint(work, index, label)
            else:
                self._paint(work, index, label, mask)
        self._control.reselect(work)
        self._control.edited.emit()

    def _paint(self, work: Work, index: Index, label: int, before: ObjectMask | None) -> None:
        """Keep a painted mask; it replaces what was said before it on its frame."""
        space, entry = work.workspace, (index, label)
        mask = space.store.get(index, label)
        assert mask is not None
        known = work.session.painted.get(entry)
        if known is None:
            drawn = space.drawn(Line(None, index)).get(entry, ())
            known = Painted(mask, before, drawn)
        space.erase(label, index)
        work.session.painted[entry] = replace(known, mask=mask)
        space.names.setdefault(label, f"object {label}")

    def _is_unpainted(self, work: Work, index: Index, label: int) -> bool:
        """Whether every stroke is undone: the mask is again the one before the first of them."""
        known = work.session.painted.get((index, label))
        mask = work.workspace.store.get(index, label)
        if known is None or mask is None:
            return False
        return mask == (known.before or ObjectMask.empty(mask.frame_size))

    def _unpaint(self, work: Work, index: Index, label: int) -> None:
        """Bring back what a painted mask took the place of."""
        known = work.session.painted.pop((index, label))
        work.workspace.store.put(index, label, known.before)
        for prompt in known.drawn:
            work.workspace.draw(index, label, prompt)

    def use_labels(self, layer: Any) -> list[int]:
        """Take each label of a Labels layer on the shown frame for an object's mask.

        A label that was taken before, on any frame, is the same object again.
        """
        work = self._control.begin()
        space, index = work.workspace, work.workspace.step
        found = masks_at(layer, space.image, self._control.viewer.dims.point)
        known = {value: work.taken.get((layer.name, value)) for value in found}
        fresh = labels_of([n for n in found if known[n] not in space.names], space.names)
        for value, label in fresh.items():
            work.taken[layer.name, int(value)] = label
            own = "object" if label == value else f"{layer.name}"
            space.names[label] = f"{own} {value}"
        made = [work.taken[layer.name, value] for value in found]
        self._take(index, dict(zip(made, found.values(), strict=True)), f"masks of {layer.name}")
        if not made:
            self._control.told.emit(f"{layer.name} has no label on this frame.")
        return made

    def take(self, index: Index, masks: Sequence[ObjectMask]) -> list[int]:
        """Make an object of each mask on a frame."""
        names = self._control.begin().workspace.names
        made: dict[int, ObjectMask] = {}
        for mask in masks:
            label = free_label(names)
            names[label] = f"object {label}"
            made[label] = mask
        self._take(index, made, "all cells")
        return list(made)

    def _take(self, index: Index, masks: Mapping[int, ObjectMask], title: str) -> None:
        """Let masks on a frame be those of objects, as if they had been painted."""
        work = self._control.begin()
        space, change = work.workspace, dict[Entry, ObjectMask | None]()
        for label, mask in masks.items():
            change[index, label] = before = space.store.put(index, label, mask)
            space.erase(label, index)
            if before != mask or (index, label) not in work.session.painted:
                work.session.painted[index, label] = Painted(mask, before)
        work.history.record(title, change)
        if masks:
            self._control.select(next(iter(masks)))
        self._control.show(work)
        self._control.objects_changed.emit()
        self.sync()


def _title(due: dict[tuple[int, int], Said]) -> str:
    """What prompts are called when they are taken back."""
    last = next((said[-1] for said in due.values() if said), None)
    if last is None:
        return "removal of prompts"
    return "click" if last.points else "box" if last.box else "mask"
