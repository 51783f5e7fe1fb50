"""The layers that belong to one image: masks, clicks, boxes, tracks."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from sam2_plugins.core.prompts import Prompt
from sam2_plugins.napari_plugin.layers.colors import TrackColors, color_of, label_colormap
from sam2_plugins.napari_plugin.layers.frames import Line, mask_shape, shown_index
from sam2_plugins.napari_plugin.layers.lineage import Lineage, Tracks, show_tracks
from sam2_plugins.napari_plugin.layers.marks import (
    EXCLUDE,
    INCLUDE,
    MEANING,
    OBJECT,
    Marks,
    Prompts,
    index_of,
    read_marks,
    write_marks,
)
from sam2_plugins.napari_plugin.layers.mask_store import Index, MaskStore
from sam2_plugins.napari_plugin.layers.placement import keep_placed, placement_of

Aim: TypeAlias = "Callable[[Index, float, float, bool, bool], bool]"
"""Of a click: frame, place (x, y), whether it adds to the selected object, whether it excludes."""

_MEANING_COLORS = {INCLUDE: "#2ecc71", EXCLUDE: "#ff4d4d"}
_CLICK_SHARE = 1 / 45
"""Diameter of a click's marker, as a share of the frame's shorter side."""


class Workspace:
    """Layers of one image, made when they are first needed.

    Parameters
    ----------
    viewer
        A `ViewerModel`.
    on_drawn
        Called when clicks or boxes were added, moved or removed by a person.
    keys
        What keys do while one of the layers is the active one.
    aim
        Called before a click: may select another object, and returns whether it is a prompt now.

    Attributes
    ----------
    drawing
        The object that the next click, box or stroke is of.
    edited
        Frames on which a person has painted since all this was closed.
    """

    def __init__(
        self,
        viewer: Any,
        image: Any,
        on_drawn: Callable[[], object],
        keys: Mapping[str, Callable[[Any], None]] | None = None,
        aim: Aim = lambda *click: True,
    ) -> None:
        self.viewer = viewer
        self.image = image
        self.lineage = Lineage()
        self.names: dict[int, str] = {}
        self.store = MaskStore(mask_shape(image))
        self._on_drawn = on_drawn
        self._keys = dict(keys or {})
        self._aim = aim
        self._pressed: tuple[Index, float, float, bool, bool] | None = None
        self._is_no_prompt = False
        self._quiet = False
        self.drawing = 1
        self.edited: set[Index] = set()
        self._excluding = self._had_boxes = False
        self.labels = viewer.add_labels(
            self.store,
            name=f"{image.name} masks",
            opacity=0.5,
            colormap=label_colormap(),
            **placement_of(image),
        )
        self._bind(self.labels)
        self.points = self._add_points()
        self.boxes = self._make_boxes()
        self.tracks: Any = None
        self._leave_in_place = keep_placed(image, self.layers)

    # -- layers

    def layers(self) -> list[Any]:
        """Those that were added and are still in the viewer."""
        added = (self.labels, self.points, self.boxes, self.tracks)
        return [layer for layer in added if layer is not None and layer in self.viewer.layers]

    def complete(self) -> None:
        """Add prompt layers again that a person removed; their prompts are gone with them."""
        if self.points not in self.viewer.layers:
            self.points = self._add_points()
        if self._had_boxes and self.boxes not in self.viewer.layers:
            self._had_boxes, self.boxes = False, self._make_boxes()

    def layer_to_draw_in(self, name: str) -> Any:
        """Return "points", "boxes" or "labels" as a layer that is seen."""
        if name == "boxes":
            self._show_boxes()
        layer = getattr(self, name)
        layer.visible = True
        return layer

    def fits(self, image: Any) -> bool:
        """Whether an image has the shape for which the layers were made."""
        return mask_shape(image) == self.store.shape

    def close(self) -> None:
        """Disconnect from the layers' events."""
        edited = self.edited  # without what else is here: the layer may stay for long
        self.store.on_edit = lambda index, before: edited.add(index)
        self._leave_in_place()
        for layer in (self.points, self.boxes):
            layer.events.data.disconnect(self._drawn)
            if self._before_drawing in layer.mouse_drag_callbacks:
                layer.mouse_drag_callbacks.remove(self._before_drawing)
        for layer in self.layers():
            for key in self._keys:
                layer.bind_key(key, None, overwrite=True)

    def refresh(self) -> None:
        """Draw the shown frame's masks again."""
        self.labels.refresh(thumbnail=False, extent=False, highlight=False)

    def outline(self, width: int) -> None:
        """Draw masks as outlines so many pixels wide; 0: filled."""
        self.labels.contour = width

    # -- where the person looks

    @property
    def step(self) -> Index:
        """Leading index of the shown frame."""
        return shown_index(self.image, self.viewer.dims.point)

    def go_to(self, index: Index) -> None:
        """Show a frame."""
        at = np.asarray(self.image.world_to_data(self.viewer.dims.point), float)
        at[: len(index)] = index
        world = self.image.data_to_world(tuple(at))[: len(index)]
        first = self.viewer.dims.ndim - self.image.ndim
        self.viewer.dims.set_point(range(first, first + len(index)), world)

    # -- prompts

    def select(self, label: int, excluding: bool) -> None:
        """Assign further drawings to an object."""
        self.drawing, self._excluding = label, excluding
        self.labels.selected_label = label
        with self.quietly():
            self.points.selected_data = set()
            self.boxes.selected_data = set()
            self._prepare(self.points, excluding)
            self._prepare(self.boxes, excluding)

    def drawn(self, line: Line) -> dict[tuple[Index, int], Prompts]:
        """All prompts that are drawn on the frames of a line, by frame and label."""
        return self.marks().prompts(line, self.store.frame_size)

    def draw(self, index: Index, prompt: Prompt) -> None:
        """Show a prompt as if a person had drawn it, without an event."""
        self.set_marks(self.marks().adding(index, prompt))

    def erase(self, label: int, index: Index | None = None) -> None:
        """Remove an object's clicks and boxes on one frame or on all, without an event."""
        self.set_marks(self.marks().without(label, index))

    def marks(self) -> Marks:
        """The contents of the prompt layers as plain values."""
        return read_marks(self.points, self.boxes)

    def set_marks(self, marks: Marks) -> None:
        """Make the prompt layers show just these marks, without an event."""
        with self.quietly():
            write_marks(marks, self.points, self.boxes, color_of)
            if marks.shapes:
                self._show_boxes()
            self._prepare(self.points, self._excluding)
            self._prepare(self.boxes, self._excluding)

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Change the prompt layers without it counting as drawn by a person."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    # -- tracks

    def show_tracks(self, tracks: Tracks) -> None:
        """Draw paths in a Tracks layer."""
        data, graph = tracks
        if not 3 <= self.store.ndim <= 4:  # of time, and with more axes, napari draws no tracks
            return
        if not len(data):
            if self.tracks is not None and self.tracks in self.viewer.layers:
                # napari then collects garbage: a second of work, if it looks at all masks.
                gc.freeze()
                try:
                    self.viewer.layers.remove(self.tracks)
                finally:
                    gc.unfreeze()
            return
        if self.tracks is None or self.tracks not in self.viewer.layers:
            active = self.viewer.layers.selection.active
            self.tracks = self.viewer.add_tracks(
                data,
                graph=graph,
                name=f"{self.image.name} tracks",
                tail_length=20,
                colormaps_dict={"track_id": TrackColors()},
                **placement_of(self.image),
            )
            self._bind(self.tracks)
            self.viewer.layers.selection.active = active
        else:
            show_tracks(self.tracks, data, graph)

    # -- making layers

    def _add_points(self) -> Any:
        points = self.viewer.add_points(
            ndim=self.store.ndim,
            name=f"{self.image.name} clicks",
            features={OBJECT: np.zeros(0, int), MEANING: np.zeros(0, "<U8")},
            feature_defaults={OBJECT: 1, MEANING: INCLUDE},
            border_color=MEANING,
            border_color_cycle=_MEANING_COLORS,
            border_width=0.25,
            size=max(4, min(self.store.frame_size) * _CLICK_SHARE),
            **placement_of(self.image),
        )
        return self._listening(points)

    def _make_boxes(self) -> Any:
        from napari.layers import Shapes

        boxes = Shapes(
            ndim=self.store.ndim,
            name=f"{self.image.name} boxes",
            features={OBJECT: np.zeros(0, int)},
            feature_defaults={OBJECT: 1},
            face_color="transparent",
            edge_width=max(1, min(self.store.frame_size) / 250),
            **placement_of(self.image),
        )
        return self._listening(boxes)

    def _show_boxes(self) -> None:
        """Add the layer of boxes: every layer costs the window time, and many need no box."""
        if self.boxes in self.viewer.layers:
            return
        for name, value in placement_of(self.image).items():
            setattr(self.boxes, name, value)
        active = self.viewer.layers.selection.active
        self.viewer.add_layer(self.boxes)
        self.viewer.layers.selection.active = active
        self._had_boxes = True

    def _listening(self, layer: Any) -> Any:
        layer.mouse_drag_callbacks.insert(0, self._before_drawing)
        layer.events.data.connect(self._drawn)
        self._bind(layer)
        return layer

    def _bind(self, layer: Any) -> None:
        for key, act in self._keys.items():
            layer.bind_key(key, act, overwrite=True)

    def _prepare(self, layer: Any, excluding: bool) -> None:
        """Assign further marks in a prompt layer to the selected object."""
        label = self.drawing
        if MEANING in layer.features:  # clicks; in an event, napari hands a proxy of the layer
            meaning = EXCLUDE if excluding else INCLUDE
            layer.feature_defaults = {OBJECT: label, MEANING: meaning}
            layer.current_face_color = color_of(label)
        else:
            layer.feature_defaults = {OBJECT: label}
            layer.current_edge_color = color_of(label)

    def _before_drawing(self, layer: Any, event: Any) -> None:
        """Before napari adds a click or a box, set its object. Ctrl-click excludes.

        Selecting old markers makes napari take theirs for what comes next.
        """
        self._pressed = None
        if not str(layer.mode).startswith("add"):
            return
        excluding = self._excluding or "Control" in event.modifiers
        # Taken from the layer list, for in an event napari hands a proxy.
        if layer.name == self.points.name:
            at = self.points.world_to_data(event.position)
            adds = excluding or "Shift" in event.modifiers
            self._pressed = index_of(at), float(at[-1]), float(at[-2]), adds, excluding
        layer.selected_data = set()
        self._prepare(layer, excluding)

    def _drawn(self, event: Any) -> None:
        action = str(getattr(event.action, "value", event.action))
        if self._quiet:
            return
        if action == "adding" and self._pressed is not None:  # else it was dragged, to move about
            pressed, self._pressed = self._pressed, None
            self._is_no_prompt = not self._aim(*pressed)
            self._prepare(self.points, pressed[-1])
        if action not in ("added", "changed", "removed"):
            return
        is_no_prompt, self._is_no_prompt = self._is_no_prompt, False
        if is_no_prompt and action == "added":
            marks = self.marks()
            self.set_marks(replace(marks, clicks=marks.clicks[:-1]))
            return
        if len(self.boxes.data):
            self._show_boxes()
        self._on_drawn()
