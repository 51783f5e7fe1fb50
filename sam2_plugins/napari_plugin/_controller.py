"""What the dock does, without Qt: layers and buttons in, work for the session out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from psygnal import Signal

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.plan import Direction
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.napari_plugin._divisions import Divisions
from sam2_plugins.napari_plugin._frames import (
    Contrast,
    Line,
    View,
    default_axis,
    leading_shape,
    shown_index,
)
from sam2_plugins.napari_plugin._jobs import Handle, Jobs
from sam2_plugins.napari_plugin._results import Results
from sam2_plugins.napari_plugin._session import Request, Said, Session, Step
from sam2_plugins.napari_plugin._states import FrameState, doubtful, states_along
from sam2_plugins.napari_plugin._store import Change, Index
from sam2_plugins.napari_plugin._work import Work
from sam2_plugins.napari_plugin._workspace import Workspace


@dataclass(frozen=True)
class RunProgress:
    """How far a run is; rate in frames a second."""

    done: int
    total: int
    rate: float

    @property
    def seconds_left(self) -> float:
        """Time that the rest will take; 0 if that is not known."""
        return (self.total - self.done) / self.rate if self.rate else 0.0


class Controller:
    """The state of the dock.

    Parameters
    ----------
    viewer
        A `ViewerModel`.
    load_model
        Returns the chosen model; called in a worker.
    """

    told = Signal(str)
    """What happens, in a line."""
    failed = Signal(str)
    """What went wrong, and the mend."""
    objects_changed = Signal()
    """Objects, their names, their order, or what is said of them."""
    masks_changed = Signal()
    """Masks of any frame."""
    edited = Signal()
    """A person is painting; `sync` when the stroke is over."""
    progressed = Signal(object)
    """A `RunProgress`, or None when a run ends."""

    def __init__(self, viewer: Any, jobs: Jobs, load_model: Callable[[], Sam2Model]) -> None:
        self.viewer = viewer
        self.jobs = jobs
        self.load_model = load_model
        self.images: tuple[Any, ...] = ()
        self.contrast: Contrast = "layer"
        self.axis: int | None = None
        self.excluding = False
        self.selected: int | None = None
        self.shown_is_stale = False
        """A run has written the frame that is shown."""
        self.closed = False
        self._works: dict[Any, Work] = {}
        self._run: Handle | None = None
        self._telling = False
        self.results = Results(self)
        self.divisions = Divisions(self)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    # -- the image

    def use(self, images: Sequence[Any], axis: int | None = None) -> None:
        """Choose an image, or up to three channels; nothing heavy happens yet."""
        if self.images != tuple(images):
            self.results.forget()
        self.images = tuple(images)
        if images:
            labels = tuple(getattr(images[0], "axis_labels", ()))
            self.axis = default_axis(images[0], labels) if axis is None else axis
        work = self.work
        self.selected = work.workspace.labels.selected_label if work else None
        self.objects_changed.emit()
        self.masks_changed.emit()

    @property
    def work(self) -> Work | None:
        """The chosen image's work; None before the first object."""
        return self._works.get(self.images[0]) if self.images else None

    @property
    def line(self) -> Line | None:
        """The frames that are tracked through where the person looks; None without work."""
        work = self.work
        return None if work is None else Line.through(self.axis, work.workspace.step)

    @property
    def frame(self) -> int:
        """Shown frame along the swept axis."""
        if not self.images or self.axis is None:
            return 0
        return shown_index(self.images[0], self.viewer.dims.current_step)[self.axis]

    @property
    def length(self) -> int:
        """Number of frames along the swept axis."""
        if not self.images or self.axis is None:
            return 1
        return leading_shape(self.images[0])[self.axis]

    def begin(self) -> Work:
        """Return the chosen image's work, with all its layers."""
        if not self.images:
            raise Sam2PluginsError("There is no image: open one, and choose it above.")
        work = self.work
        if work is None:
            self.view()  # refuses what cannot be shown, before any layer is made
            image = self.images[0]
            workspace = Workspace(self.viewer, image, self.sync)
            session = Session(workspace.store, lambda: self.load_model())
            work = self._works[image] = Work(workspace, session)
            workspace.store.on_edit = self._on_painted
            workspace.labels.events.selected_label.connect(self._on_label_selected)
            image.events.data.connect(self._on_image_changed)
            # Loaded while the person looks for where to click.
            self.jobs.call(self.load_model, lambda _: None, self.fail)
        work.workspace.complete()
        return work

    def view(self) -> View:
        """How the chosen layers look now."""
        return View.of(self.images, self.contrast)

    # -- objects

    @property
    def objects(self) -> dict[int, str]:
        """Names by label, in the order in which they came."""
        work = self.work
        return {} if work is None else work.workspace.names

    def new_object(self, name: str = "") -> int:
        """Make an object, and select it."""
        work = self.begin()
        names = work.workspace.names
        label = max([0, *names]) + 1
        names[label] = name or f"object {label}"
        self.select(label)
        self.objects_changed.emit()
        return label

    def select(self, label: int) -> None:
        """Let clicks, boxes and the brush mean an object."""
        work = self.begin()
        work.workspace.names.setdefault(label, f"object {label}")
        self.selected = label
        work.workspace.select(label, self.excluding)
        work.workspace.refresh()
        self.objects_changed.emit()

    def exclude(self, excluding: bool) -> None:
        """Let the next clicks say what does not belong to the object."""
        self.excluding = excluding
        if self.selected is not None and self.work is not None:
            self.work.workspace.select(self.selected, excluding)

    def rename(self, label: int, name: str) -> None:
        """Call an object something else."""
        self.objects[label] = name
        self.objects_changed.emit()

    def delete(self, label: int) -> None:
        """Remove an object with all that was said of it."""
        work = self.work
        if work is None or label not in work.workspace.names:
            return
        workspace = work.workspace
        workspace.erase(label)
        for entry in [entry for entry in work.painted if entry[1] == label]:
            del work.painted[entry]
        workspace.lineage.remove(label)
        name = workspace.names.pop(label)
        change = work.session.remove(label)
        work.undo.append(lambda: self._bring_back(work, label, name, change))
        self.told.emit(f"{name} is removed. Undo brings its masks back.")
        if self.selected == label:
            self.selected = None
            if workspace.names:
                self.select(next(iter(workspace.names)))
        self.show(work)
        self.objects_changed.emit()

    def _bring_back(self, work: Work, label: int, name: str, change: Change) -> str:
        work.workspace.names[label] = name
        work.workspace.store.swap(change)
        self.objects_changed.emit()
        return f"{name} is back, with its masks and without its clicks."

    # -- prompts

    def sync(self) -> None:
        """Tell the session what was drawn and painted since it was told last, in a worker."""
        work, line = self.work, self.line
        if work is None or line is None or self._telling:
            return
        due = self._untold(work, line)
        if not due:
            return
        self._telling = True
        view = self.view()
        frames = sorted({frame for frame, _ in due})
        self.told.emit(f"Looking at frame {', '.join(map(str, frames[:3]))} …")

        def tell() -> None:
            for (frame, label), said in due.items():
                work.session.say(view, line, frame, label, said)

        self.jobs.call(tell, lambda _: self._on_told(work, due), self._on_not_told)

    def _untold(self, work: Work, line: Line) -> dict[tuple[int, int], Said]:
        """What should be said, where it differs from what was."""
        wanted: dict[tuple[int, int], Said] = {}
        for (index, label), mask in work.painted.items():
            frame = line.frame(index)
            if frame is not None:
                wanted[frame, label] = (Prompt.of(frame, label, mask=mask),)
        for (index, label), drawn in work.workspace.drawn(line).items():
            frame = line.frame(index)
            assert frame is not None
            wanted[frame, label] = (*wanted.get((frame, label), ()), *drawn)
        said = work.session.said(line)
        due = {key: prompts for key, prompts in wanted.items() if said.get(key, ()) != prompts}
        return {**due, **{key: () for key in said if key not in wanted}}

    def _on_told(self, work: Work, due: dict[tuple[int, int], Said]) -> None:
        self._telling = False
        for (_, label), said in due.items():
            if said:
                work.workspace.names.setdefault(label, f"object {label}")
        for (frame, label), said in due.items():
            if said and said[-1].mask is None:
                work.undo.append(partial(self._unsay, work, frame, label, said[-1]))
        self.show(work)
        self.told.emit("")
        self.divisions.go_on({label for (_, label), said in due.items() if said})
        self.objects_changed.emit()
        self.sync()

    def _on_not_told(self, error: Exception) -> None:
        """A prompt was refused: take its marker away, so that it is not said again."""
        self._telling = False
        work, line = self.work, self.line
        if work is not None and line is not None:
            said = work.session.said(line)
            for (frame, label), prompts in self._untold(work, line).items():
                if prompts:
                    index = line.index(frame)
                    work.workspace.erase(label, index)
                    for prompt in said.get((frame, label), ()):
                        if prompt.mask is None:
                            work.workspace.draw(index, label, prompt)
            self._reselect(work)
        self.fail(error)

    def _unsay(self, work: Work, frame: int, label: int, prompt: Prompt) -> str:
        """Take back the last prompt that was said of an object on a frame."""
        line = self.line
        if line is None:
            return ""
        work.workspace.erase_last(label, line.index(frame), box=prompt.box is not None)
        undo = list(work.undo)
        self.sync()
        work.undo[:] = undo
        return f"The last prompt of {work.workspace.names.get(label, label)} is taken back."

    def _on_painted(self, index: Index, labels: set[int]) -> None:
        """A person painted masks: they are prompts, and are not overwritten."""
        work = self.work
        if work is None:
            return
        for label in labels:
            entry = (index, label)
            mask = work.workspace.store.get(index, label)
            assert mask is not None
            work.painted[entry] = mask
            work.session.protected.add(entry)
            work.workspace.names.setdefault(label, f"object {label}")
            # A mask replaces what was said before it on its frame.
            work.workspace.erase(label, index)
        self._reselect(work)
        self.edited.emit()

    def use_labels(self, layer: Any) -> list[int]:
        """Take each label of a Labels layer on the shown frame for an object's mask."""
        from sam2_plugins.core.masks import split_label_image
        from sam2_plugins.napari_plugin._session import labels_of

        work = self.begin()
        index = work.workspace.step
        image = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
        found = split_label_image(_plane(image, index, work.workspace.store.frame_size))
        taken = work.workspace.names
        made = labels_of(found, [*taken])
        for obj, label in made.items():
            work.workspace.names[label] = f"object {label}"
            work.painted[index, label] = found[int(obj)]
            work.workspace.store.put(index, label, found[int(obj)])
            work.session.protected.add((index, label))
        if made:
            self.select(next(iter(made.values())))
        self.show(work)
        self.objects_changed.emit()
        self.sync()
        return list(made.values())

    # -- runs

    @property
    def busy(self) -> bool:
        """Whether the model is looking at prompts."""
        return self._telling

    @property
    def running(self) -> bool:
        """Whether objects are being tracked."""
        return self._run is not None

    def why_not_run(self) -> str:
        """Why tracking cannot start; "" if it can."""
        if not self.images:
            return "Choose an image first."
        if self.running:
            return "Tracking already."
        work, line = self.work, self.line
        if work is None or line is None:
            return "Click on an object first."
        if not work.session.said(line) and not self._untold(work, line):
            return "Click on an object first, or draw a box around it."
        if self.length < 2:
            return "There is only one frame."
        return ""

    def propagate(
        self, direction: Direction, start: int | None = None, stop: int | None = None
    ) -> None:
        """Track all objects; masks appear as they come."""
        reason = self.why_not_run()
        work, line = self.work, self.line
        if reason or work is None or line is None:
            self.failed.emit(reason)
            return
        self.sync()
        change: Change = {}
        request = Request(self.view(), line, direction, start, stop)
        began = time.perf_counter()

        def each(step: Step) -> None:
            rate = step.done / max(time.perf_counter() - began, 1e-6)
            self.shown_is_stale |= step.index == work.workspace.step
            self.progressed.emit(RunProgress(step.done, step.total, rate))
            self.masks_changed.emit()

        def done(stopped: bool) -> None:
            self._run = None
            if change:
                work.undo.append(lambda: self._take_back(work, change))
            self.show(work)
            frames = len({index for index, _ in change})
            self.progressed.emit(None)
            kept = "Stopped; what is done is kept: " if stopped else ""
            self.told.emit(f"{kept}{frames} frames tracked.")
            work.workspace.show_tracks()

        def failed(error: Exception) -> None:
            done(True)
            self.fail(error)

        self.progressed.emit(RunProgress(0, 0, 0.0))
        self._run = _STARTING
        handle = self.jobs.stream(lambda: work.session.run(request, change), each, done, failed)
        if self._run is not None:
            self._run = handle

    def cancel(self) -> None:
        """Stop the run at the next frame; what is done is kept."""
        if self._run is not None:
            self._run.stop()

    def _take_back(self, work: Work, change: Change) -> str:
        work.workspace.store.swap(change)
        self.show(work)
        work.workspace.show_tracks()
        return "The last run is taken back."

    # -- looking back

    def undo(self) -> None:
        """Take back the last prompt, run, division or removal."""
        work = self.work
        if self.running:
            self.failed.emit("Cancel the run first.")
        elif work is None or not work.undo:
            self.told.emit("There is nothing to take back.")
        else:
            self.told.emit(work.undo.pop()())
            self.show(work)
            self.objects_changed.emit()

    def states(self, label: int | None = None) -> list[FrameState]:
        """How an object fared, frame by frame; of all objects the worst, if none is named."""
        work, line = self.work, self.line
        if work is None or line is None:
            return []
        labels = list(work.workspace.names) if label is None else [label]
        said = set(work.session.said(line))
        return states_along(work.workspace.store, line, self.length, labels, said)

    def go_to_doubtful(self, forward: bool = True) -> None:
        """Show the next frame that should be looked at."""
        work, line = self.work, self.line
        if work is None or line is None:
            return
        here = self.frame
        frames = doubtful(self.states(self.selected))
        after = [f for f in frames if f > here] if forward else [f for f in frames if f < here]
        if not after:
            self.told.emit(f"No doubtful frame {'after' if forward else 'before'} this one.")
            return
        work.workspace.go_to(line.index(after[0] if forward else after[-1]))

    def go_to_frame(self, frame: int) -> None:
        """Show a frame along the swept axis."""
        if self.work is not None and self.line is not None:
            self.work.workspace.go_to(self.line.index(frame))

    def go_to_first(self, label: int) -> None:
        """Show the first frame on which something is known of an object."""
        work = self.work
        indices = work.workspace.store.indices(label) if work is not None else []
        if work is not None and indices:
            work.workspace.go_to(indices[0])

    def colors(self) -> dict[int, tuple[float, float, float]]:
        """RGB of every object, 0 to 1."""
        work = self.work
        if work is None:
            return {}
        colors = {label: work.workspace.color(label) for label in work.workspace.names}
        return {label: (float(c[0]), float(c[1]), float(c[2])) for label, c in colors.items()}

    # -- events

    def close(self) -> None:
        """Let go of the viewer: stop the run, disconnect everything."""
        if self.closed:
            return
        self.closed = True
        for signal in (
            self.told,
            self.failed,
            self.objects_changed,
            self.masks_changed,
            self.edited,
            self.results.measured,
            self.progressed,
        ):
            signal.disconnect()
        self.cancel()
        self.viewer.layers.events.removed.disconnect(self._on_layer_removed)
        for image in list(self._works):
            self._drop(image)

    def _drop(self, image: Any) -> None:
        work = self._works.pop(image)
        work.workspace.close()
        work.workspace.labels.events.selected_label.disconnect(self._on_label_selected)
        image.events.data.disconnect(self._on_image_changed)

    def _on_layer_removed(self, event: Any) -> None:
        layer = event.value
        for image, work in list(self._works.items()):
            if layer in (image, work.workspace.labels):
                self.cancel()
                self._drop(image)
                self.selected = None
                self.told.emit(f"{layer.name} was removed: its objects are closed.")
        self.objects_changed.emit()

    def _on_image_changed(self, event: Any) -> None:
        for work in self._works.values():
            if work.workspace.image is event.source:
                work.session.forget_frames()

    def _on_label_selected(self, event: Any) -> None:
        label = int(event.source.selected_label)
        work = self.work
        if label and work is not None and label != self.selected:
            self.select(label)

    def _reselect(self, work: Work) -> None:
        if self.selected is not None:
            work.workspace.select(self.selected, self.excluding)

    def show(self, work: Work) -> None:
        """Draw masks that have changed."""
        if work.workspace.labels in self.viewer.layers:
            work.workspace.refresh()
        self.masks_changed.emit()

    def fail(self, error: Exception) -> None:
        """Tell what went wrong."""
        known = isinstance(error, Sam2PluginsError)
        self.failed.emit(str(error) if known else f"{type(error).__name__}: {error}")


class _Starting:
    def stop(self) -> None:
        """Nothing runs yet."""


_STARTING = _Starting()


def _plane(image: Any, index: Index, frame_size: tuple[int, int]) -> Any:
    """Take one frame of labels that may have fewer leading axes than the image."""
    import numpy as np

    leading = len(image.shape) - 2
    plane = np.asarray(image[tuple(index[len(index) - leading :])] if leading else image)
    if plane.shape != frame_size:
        raise Sam2PluginsError(
            f"The labels are {plane.shape[0]} × {plane.shape[1]} pixels, and the image is "
            f"{frame_size[0]} × {frame_size[1]}: choose labels of the same image."
        )
    return plane
