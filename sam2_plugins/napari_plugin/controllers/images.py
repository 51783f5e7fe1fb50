"""Images are chosen, opened, changed and removed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from psygnal import Signal

from sam2_plugins.napari_plugin.layers.frames import default_axis
from sam2_plugins.napari_plugin.layers.workspace import Aim, Workspace
from sam2_plugins.napari_plugin.models.dock import DockModel
from sam2_plugins.napari_plugin.models.session import Session
from sam2_plugins.napari_plugin.models.work import Work

OUTLINE = 2
"""Pixels across the outline of a mask."""


class Images:
    """Makes and closes the layers and the session of an image.

    Attributes
    ----------
    keys
        What keys do while one of the layers is the active one.
    aim
        Called before a click; see `Workspace`.
    """

    drawn = Signal()
    """Clicks or boxes were added, moved or removed by a person."""
    painted = Signal(object, object, object)
    """A person painted on a frame, or undid that: the work, the frame's index, and the masks from
    before by label.
    """
    wanted = Signal(object)
    """A person has taken up a layer of another image than the chosen one: that image."""
    closing = Signal(object, object)
    """The work on an image goes away: the image, and its work."""

    def __init__(self, dock: DockModel) -> None:
        self._dock = dock
        self.keys: Mapping[str, Callable[[Any], None]] = {}
        self.aim: Aim = lambda *click: True

    def use(self, images: Sequence[Any], axis: int | None = None, over: int | None = None) -> None:
        """Choose an image, or up to three channels; nothing heavy happens yet.

        Parameters
        ----------
        axis
            Along which objects are followed.
        over
            Axis of the time points at each of which they are; None: at the shown one only.
        """
        dock, images = self._dock, tuple(images)
        same_image = images[:1] == dock.images[:1]
        if axis is None and images:
            labels = tuple(getattr(images[0], "axis_labels", ()))
            axis = dock.axis if same_image else default_axis(images[0], labels)
        if (images, axis, over) == (dock.images, dock.axis, dock.over):
            return
        same_channels = images == dock.images
        dock.images, dock.axis, dock.over = images, axis, over
        if not same_channels:
            dock.channels_changed.emit()
        if not same_image:
            dock.daughters = []
            dock.image_changed.emit()
            dock.selected = dock.work.workspace.labels.selected_label if dock.work else None
            self._put_down()
        dock.objects_changed.emit()
        dock.masks_changed.emit()

    def open(self, image: Any) -> Work:
        """Make the layers and the session of an image."""
        dock = self._dock
        dock.view()  # refuses what cannot be shown, before any layer is made
        workspace = Workspace(dock.viewer, image, self.drawn.emit, self.keys, self.aim)
        workspace.outline(OUTLINE if dock.outlines else 0)
        work = dock.works[image] = Work(workspace, Session(workspace.store, dock))
        workspace.store.on_edit = partial(self.painted.emit, work)
        workspace.labels.events.selected_label.connect(self._on_label_selected)
        workspace.labels.events.data.connect(self._on_labels_replaced)
        image.events.data.connect(self._on_image_changed)
        return work

    def close(self, image: Any) -> None:
        """Close an image; its work is kept."""
        work = self._dock.works.pop(image)
        work.end_stroke()
        self.closing.emit(image, work)
        work.workspace.close()
        work.workspace.labels.events.selected_label.disconnect(self._on_label_selected)
        work.workspace.labels.events.data.disconnect(self._on_labels_replaced)
        image.events.data.disconnect(self._on_image_changed)

    def leave(self, layer: Any) -> None:
        """Close the work of an image when a person removed one of its layers."""
        dock = self._dock
        for image, work in list(dock.works.items()):
            if layer in (image, work.workspace.labels):
                self.close(image)
                dock.selected = None
                back = "image" if layer is image else "next click"
                dock.message.emit(
                    f"{layer.name} was removed. The objects are kept, and back with the {back}."
                )
            elif layer in (work.workspace.points, work.workspace.boxes) and len(layer.data):
                dock.message.emit(
                    f"{layer.name} was removed: what was drawn in it goes with the next click, and "
                    "comes back if that is undone."
                )
        dock.objects_changed.emit()

    def follow(self, event: Any) -> None:
        """Want the image whose layer becomes the active one: what is drawn in it is of that."""
        image = self._image_of(event.value)
        if image is not None and image not in self._dock.images[:1]:
            self.wanted.emit(image)

    def _put_down(self) -> None:
        """Leave the layers of an image that is chosen no more: the next click is not in them."""
        selection = self._dock.viewer.layers.selection
        image = self._image_of(selection.active)
        if image is not None and image not in self._dock.images[:1]:
            selection.active = self._dock.images[0] if self._dock.images else None

    def _image_of(self, layer: Any) -> Any:
        """Return the image to which a layer of masks, clicks, boxes or tracks belongs."""
        works = self._dock.works.items()
        return next((image for image, work in works if layer in work.workspace.layers()), None)

    def outline(self, outlines: bool) -> None:
        """Draw masks as outlines, or filled."""
        self._dock.outlines = outlines
        for work in self._dock.works.values():
            work.workspace.outline(OUTLINE if outlines else 0)

    def _on_image_changed(self, event: Any) -> None:
        dock, image = self._dock, event.source
        work = dock.works[image]
        if work.workspace.fits(image):
            work.session.forget_frames()
            return
        self.close(image)
        dock.selected = None
        if image in dock.images[:1]:
            dock.image_changed.emit()  # which brings the objects of a movie back that became longer
        if image not in dock.works:
            dock.failed.emit(
                f"{image.name} has another shape now: the objects of before are closed."
            )
        dock.objects_changed.emit()

    def _on_labels_replaced(self, event: Any) -> None:
        """Take what a script or another plugin sets as the data of the masks for painted."""
        layer = event.source
        store = self._dock.works[self._image_of(layer)].store
        if layer.data is not store:
            labels, layer.data = layer.data, store
            self._dock.attempt(lambda: store.take(labels))
            layer.refresh()

    def _on_label_selected(self, event: Any) -> None:
        label = int(event.source.selected_label)
        if label and self._dock.work is not None and label != self._dock.selected:
            self._dock.select(label)
