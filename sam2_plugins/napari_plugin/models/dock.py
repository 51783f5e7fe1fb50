"""The state of the dock: the chosen image and its view, the frame, the object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from psygnal import Signal

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.disk_features import DiskFeatures
from sam2_plugins.napari_plugin.layers.frames import (
    Contrast,
    Line,
    View,
    full_level,
    leading_shape,
    limits_of,
    shown_index,
)
from sam2_plugins.napari_plugin.models.requests import Choices
from sam2_plugins.napari_plugin.models.work import Work


class DockModel:
    """State that all controllers and views share; its signals notify them of changes.

    Parameters
    ----------
    viewer
        A `ViewerModel`.
    load_model
        Returns the chosen model; called in a worker.

    Attributes
    ----------
    images
        The chosen image, and up to two more channels.
    axis, over
        Along which axis objects are followed, and the axis of the time points at each of which they
        are; None: at the shown one only.
    features
        Where encoded frames are kept on the disk; None: nowhere.
    one_per_click
        A click well beside a fresh object begins another one; one on a mask selects it.
    all_objects
        The strip, and the keys that go to doubtful frames, mean all objects.
    works
        By image, what was made of it.
    daughters
        Labels of the daughters that the next clicks are on, after a division.
    running
        Objects are being tracked.
    shown_is_stale
        A run has written the frame that is shown.
    """

    message = Signal(str)
    """What happens, in a line."""
    failed = Signal(str)
    """What went wrong, and the mend."""
    channels_changed = Signal()
    """Other layers are looked at."""
    image_changed = Signal()
    """Another image is chosen; comes after `channels_changed`."""
    objects_changed = Signal()
    """Objects, their names, their order, or what is known of them."""
    masks_changed = Signal()
    """Masks of any frame."""
    painted = Signal()
    """A person is painting; `Prompting.sync` when the stroke is over."""

    def __init__(self, viewer: Any, load_model: Callable[[], Sam2Model]) -> None:
        self.viewer = viewer
        self.load_model = load_model
        self.images: tuple[Any, ...] = ()
        self.axis: int | None = None
        self.over: int | None = None
        self.contrast: Contrast = "layer"
        self.memory = "sam2"
        self.model = "nano"
        self.features: DiskFeatures | None = None
        self.excluding = False
        self.one_per_click = True
        self.outlines = False
        self.all_objects = False
        self.selected: int | None = None
        self.works: dict[Any, Work] = {}
        self.daughters: list[int] = []
        self.running = False
        self.shown_is_stale = False
        self.closed = False

    # -- the image

    @property
    def work(self) -> Work | None:
        """The chosen image's work; None before the first object."""
        return self.works.get(self.images[0]) if self.images else None

    @property
    def line(self) -> Line | None:
        """The frames that are tracked through where the person looks; None without work."""
        work = self.work
        return None if work is None else Line.through(self.axis, work.workspace.step)

    @property
    def here(self) -> tuple[Work, Line] | None:
        """Work and line; None without work."""
        work, line = self.work, self.line
        return None if work is None or line is None else (work, line)

    @property
    def frame(self) -> int:
        """Shown frame along the swept axis."""
        if not self.images or self.axis is None:
            return 0
        return shown_index(self.images[0], self.viewer.dims.point)[self.axis]

    @property
    def length(self) -> int:
        """Number of frames along the swept axis."""
        return self.length_of(self.axis)

    def length_of(self, axis: int | None) -> int:
        """Number of frames along a leading axis of the image; 1 without one."""
        return leading_shape(self.images[0])[axis] if self.images and axis is not None else 1

    def view(self) -> View:
        """How the chosen layers look now."""
        return View.of(self.images, self.contrast)

    def go_to(self, frame: int) -> None:
        """Show a frame along the swept axis."""
        if self.here is not None:
            work, line = self.here
            work.workspace.go_to(line.index(frame))

    def go_to_first(self, label: int) -> None:
        """Show the first frame on which something is known of an object."""
        work = self.work
        if work is not None and (indices := work.store.frames_of(label)):
            work.workspace.go_to(indices[0])

    @property
    def choices(self) -> Choices:
        """What is chosen now, as it is saved."""
        names = tuple(image.name for image in self.images[1:])
        limits = limits_of(self.images, self.contrast)
        chosen = self.axis, self.over, names, self.contrast, self.memory, self.model
        return Choices(*chosen, limits)

    @choices.setter
    def choices(self, choices: Choices) -> None:
        image, layers = self.images[0], self.viewer.layers
        shape = tuple(full_level(image).shape)
        channels = (layers[name] for name in choices.channels if name in layers)
        self.images = (image, *(c for c in channels if tuple(full_level(c).shape) == shape))
        self.axis, self.over = choices.axis, choices.over
        self.contrast = "movie" if choices.contrast == "movie" else "layer"
        self.memory, self.model = choices.memory, choices.model
        if len(self.images) == len(choices.limits):  # no channel is missing
            for layer, limits in zip(self.images, choices.limits, strict=True):
                layer.contrast_limits = limits

    # -- objects

    @property
    def objects(self) -> dict[int, str]:
        """Names by label, in the order in which they came."""
        return {} if self.work is None else self.work.names

    def select(self, label: int) -> None:
        """Assign clicks, boxes and the brush to an object."""
        self.selected, work = label, self.work
        if work is not None:
            work.workspace.complete()
            work.workspace.select(label, self.excluding)
            work.workspace.refresh()
        self.objects_changed.emit()

    def exclude(self, excluding: bool) -> None:
        """Make the next clicks negative."""
        self.excluding = excluding
        if self.selected is not None and self.work is not None:
            self.work.workspace.select(self.selected, excluding)

    def show(self, work: Work) -> None:
        """Draw masks that have changed."""
        if work.workspace.labels in self.viewer.layers:
            work.workspace.refresh()
        self.masks_changed.emit()

    # -- what went wrong

    def attempt(self, act: Callable[[], object]) -> bool:
        """Run an action; show its error, and return whether it succeeded.

        napari would show an exception of a key or a button as a traceback.
        """
        try:
            act()
        except Sam2PluginsError as error:
            self.fail(error)
            return False
        return True

    def fail(self, error: Exception) -> None:
        """Show an error."""
        known = isinstance(error, Sam2PluginsError)
        self.failed.emit(str(error) if known else f"{type(error).__name__}: {error}")
