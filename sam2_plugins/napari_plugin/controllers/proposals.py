"""All cells of the shown frame: proposed by the model, accepted or refused by clicks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import pi, sqrt
from typing import Any

from psygnal import Signal

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.napari_plugin.controllers.jobs import Jobs
from sam2_plugins.napari_plugin.controllers.prompting import Prompting
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.mask_store import Index, MaskStore
from sam2_plugins.napari_plugin.layers.placement import keep_placed, placement_of
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.work import Work

ACCEPTED, REFUSED = "#2ecc71", "#ff4d4d"
_KNOWN = 0.3
"""Share of a proposal within existing masks, from which on it is left out."""
_DRAGGED = 3
"""Screen pixels between press and release from which on a click counts as a drag."""


class Proposals:
    """Proposals of one frame in a layer of their own; a click on one refuses it, or accepts it."""

    changed = Signal()
    """There are other proposals, or others are accepted."""

    def __init__(self, dock: DockModel, jobs: Jobs, prompting: Prompting) -> None:
        self._dock = dock
        self._jobs = jobs
        self._prompting = prompting
        self._index: Index = ()
        self._layer: Any = None
        self._leave_in_place: Callable[[], None] = lambda: None
        self.masks: dict[int, ObjectMask] = {}
        """Proposals by number."""
        self._refused: set[int] = set()
        self._sizes = (0.0, float("inf"))

    @property
    def diameters(self) -> Mapping[int, float]:
        """Of discs as large as the proposals, in pixels."""
        return {number: 2 * sqrt(mask.area / pi) for number, mask in self.masks.items()}

    @property
    def accepted(self) -> list[int]:
        """Proposals of a size that is wanted, which no click refused."""
        low, high = self._sizes
        return [n for n, d in self.diameters.items() if low <= d <= high and n not in self._refused]

    def propose(self) -> None:
        """Propose all objects of the shown frame, in a worker."""
        dock, work = self._dock, self._prompting.begin()
        if dock.running:
            raise Sam2PluginsError("Cancel the run first.")
        index, view = work.workspace.step, dock.view()
        line = Line.through(dock.axis, index)
        frame, session = line.frame(index) or 0, work.session
        dock.message.emit(f"Looking for all cells of frame {frame} …")
        self._jobs.call(
            lambda: session.propose(view, line, frame),
            lambda found: self._show(work, index, *found),
            dock.fail,
        )

    def set_sizes(self, low: float, high: float) -> None:
        """Accept only proposals whose diameters, in pixels, are in a range."""
        self._sizes = low, high
        self._draw()

    def toggle(self, number: int) -> None:
        """Refuse a proposal, or accept it again."""
        self._refused ^= {number}
        self._draw()

    def accept(self) -> None:
        """Make an object of each accepted proposal, and discard the others."""
        masks = [self.masks[number] for number in self.accepted]
        index, work = self._index, self._prompting.begin()
        self.dismiss()

        def act() -> None:
            fresh = new_ones(masks, work.store.on_frame(index))  # others are clicked on by now
            self._prompting.take(work, index, {work.add(): mask for mask in fresh}, "all cells")
            done = f"Objects made: {len(fresh)}. Track them with the buttons below."
            self._prompting.after(lambda: self._dock.message.emit(done))

        self._prompting.act(act)

    def dismiss(self) -> None:
        """Discard all proposals."""
        layer, self._layer = self._layer, None
        self._leave_in_place()
        self.masks, self._refused, self._sizes = {}, set(), (0.0, float("inf"))
        work, layers = self._dock.work, self._dock.viewer.layers
        if layer is not None and layer in layers:
            layers.remove(layer)
            if work is not None and work.workspace.points in layers:
                layers.selection.active = work.workspace.points
        self.changed.emit()

    def leave(self, layer: Any) -> None:
        """Discard all proposals if a person removed their layer."""
        if layer is not None and layer is self._layer:
            self.dismiss()

    # -- the layer

    def _show(self, work: Work, index: Index, masks: Sequence[ObjectMask], note: str) -> None:
        dock = self._dock
        if work is not dock.work:  # another image is chosen by now
            return
        self.dismiss()
        masks = new_ones(masks, work.store.on_frame(index))
        if not masks:
            dock.message.emit("The model finds no further cell on this frame: click on them.")
            return
        self._index, self.masks = index, dict(enumerate(masks, 1))
        image = work.workspace.image
        store = MaskStore(work.store.shape)
        for number, mask in self.masks.items():
            store.put(index, number, mask)
        self._layer = dock.viewer.add_labels(
            store,
            name=f"{image.name} proposals",
            opacity=0.6,
            **placement_of(image),
        )
        self._leave_in_place = keep_placed(image, lambda: [self._layer] if self._layer else [])
        self._layer.mode = "pan_zoom"
        self._layer.mouse_drag_callbacks.append(self._on_press)
        dock.message.emit(
            f"Proposed cells: {len(masks)}. Click on what is none, then accept the rest. "
            f"{note}".rstrip()
        )
        self._draw()

    def _draw(self) -> None:
        from napari.utils.colormaps import DirectLabelColormap

        if self._layer is not None:
            accepted = set(self.accepted)
            colors: dict[int | None, Any] = dict.fromkeys((None, 0), "transparent")
            colors.update({n: ACCEPTED if n in accepted else REFUSED for n in self.masks})
            self._layer.colormap = DirectLabelColormap(color_dict=colors)
        self.changed.emit()

    def _on_press(self, layer: Any, event: Any) -> Any:
        """Toggle what is clicked on; a drag moves the view."""
        at, start = layer.world_to_data(event.position), event.pos
        yield
        while event.type == "mouse_move":
            yield
        if max(abs(a - b) for a, b in zip(event.pos, start, strict=True)) <= _DRAGGED:
            x, y = float(at[-1]) + 0.5, float(at[-2]) + 0.5
            for number, mask in self.masks.items():
                if mask.around(x, y, 0).any():
                    self.toggle(number)
                    break


def new_ones(masks: Sequence[ObjectMask], known: Mapping[int, ObjectMask]) -> list[ObjectMask]:
    """Return the proposals that do not overlap existing masks."""
    return [
        mask
        for mask in masks
        if mask.visible
        and sum(mask.intersection_with(other) for other in known.values()) < _KNOWN * mask.area
    ]
