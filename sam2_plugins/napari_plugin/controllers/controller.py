"""What the dock does, without Qt: layers and buttons in, work for the session out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from psygnal import Signal

from sam2_plugins.core.errors import PromptError, Sam2PluginsError
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.disk_features import DiskFeatures
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.controllers.divisions import Divisions
from sam2_plugins.napari_plugin.controllers.jobs import Jobs
from sam2_plugins.napari_plugin.controllers.offers import Offers
from sam2_plugins.napari_plugin.controllers.overview import Overview
from sam2_plugins.napari_plugin.controllers.projects import Projects
from sam2_plugins.napari_plugin.controllers.prompting import Prompting
from sam2_plugins.napari_plugin.controllers.proposals import Proposals
from sam2_plugins.napari_plugin.controllers.results import Results
from sam2_plugins.napari_plugin.controllers.runs import Runs
from sam2_plugins.napari_plugin.layers.frames import (
    Contrast,
    Line,
    View,
    default_axis,
    full_level,
    leading_shape,
    shown_index,
)
from sam2_plugins.napari_plugin.layers.lineage import Tracks
from sam2_plugins.napari_plugin.layers.mask_store import Change, Index
from sam2_plugins.napari_plugin.layers.workspace import Workspace
from sam2_plugins.napari_plugin.models.cleanup import CLEANERS, clean
from sam2_plugins.napari_plugin.models.click_meaning import meaning_of_click
from sam2_plugins.napari_plugin.models.frame_states import (
    Doubts,
    FrameState,
    doubtful,
    states_along,
)
from sam2_plugins.napari_plugin.models.history import Edit
from sam2_plugins.napari_plugin.models.project_file import Choices
from sam2_plugins.napari_plugin.models.session import Session, free_label
from sam2_plugins.napari_plugin.models.work import Work

OUTLINE = 2
"""Pixels across the outline of a mask."""


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
    """A person is painting; `prompting.sync` when the stroke is over."""
    recalled = Signal(object)
    """`_project.Choices` of an earlier session, which is back."""
    progressed = Signal(object)
    """A `_runs.RunProgress`, or None when a run ends."""

    def __init__(self, viewer: Any, jobs: Jobs, load_model: Callable[[], Sam2Model]) -> None:
        self.viewer = viewer
        self.jobs = jobs
        self.load_model = load_model
        self.images: tuple[Any, ...] = ()
        self.contrast: Contrast = "layer"
        self.memory = "sam2"
        self.model = "nano"
        self.axis: int | None = None
        self.over: int | None = None
        """Axis of the time points over which whole stacks along `axis` are tracked."""
        self.features: DiskFeatures | None = None
        """Where encoded frames are kept on the disk; None: nowhere."""
        self.excluding = False
        self.one_per_click = True
        """A click well beside a fresh object begins another one; one on a mask selects it."""
        self.outlines = False
        self.selected: int | None = None
        self.shown_is_stale = False
        """A run has written the frame that is shown."""
        self.closed = False
        self.keys: dict[str, Callable[[Any], None]] = {}
        """Keys that the layers of an image have while they are worked on."""
        self._tracks_wanted = 0
        self._doubts = Doubts()
        self.all_objects = False
        """The strip, and the keys that go to doubtful frames, mean all objects."""
        self._overview = Overview(jobs, self.fail)
        self._overview.changed.connect(self.masks_changed.emit)
        self._works: dict[Any, Work] = {}
        self.prompting = Prompting(self)
        self.runs = Runs(self)
        self.results = Results(self)
        self.divisions = Divisions(self)
        self.proposals = Proposals(self)
        self.offers = Offers(self)
        self.projects = Projects(self)
        viewer.layers.events.removed.connect(self._on_layer_removed)

    # -- the image

    def use(self, images: Sequence[Any], axis: int | None = None, over: int | None = None) -> None:
        """Choose an image, or up to three channels; nothing heavy happens yet.

        Parameters
        ----------
        axis
            Along which objects are followed.
        over
            Axis of the time points at each of which they are; None: at the shown one only.
        """
        images = tuple(images)
        same_image = images[:1] == self.images[:1]
        if axis is None and images:
            labels = tuple(getattr(images[0], "axis_labels", ()))
            axis = self.axis if same_image else default_axis(images[0], labels)
        if (images, axis, over) == (self.images, self.axis, self.over):
            return
        if images != self.images:
            self.results.forget()
        self.images, self.axis, self.over = images, axis, over
        if not same_image:
            self.proposals.dismiss()
            self.offers.clear()
            self.attempt(self.projects.bring_back)
            work = self.work
            self.selected = work.workspace.labels.selected_label if work else None
        self.objects_changed.emit()
        self.masks_changed.emit()

    def adopt(self, choices: Choices) -> None:
        """Choose for the chosen image what was chosen in an earlier session."""
        image = self.images[0]
        shape = tuple(full_level(image).shape)
        channels = (self.viewer.layers[n] for n in choices.channels if n in self.viewer.layers)
        alike = (c for c in channels if tuple(full_level(c).shape) == shape)
        self.images = (image, *alike)
        self.axis, self.over = choices.axis, choices.over
        self.contrast = "movie" if choices.contrast == "movie" else "layer"
        self.memory, self.model = choices.memory, choices.model
        self.recalled.emit(choices)

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
        return shown_index(self.images[0], self.viewer.dims.point)[self.axis]

    @property
    def length(self) -> int:
        """Number of frames along the swept axis."""
        return 1 if self.axis is None else self.length_of(self.axis)

    def length_of(self, axis: int) -> int:
        """Number of frames along a leading axis of the image."""
        return leading_shape(self.images[0])[axis] if self.images else 1

    def begin(self) -> Work:
        """Return the chosen image's work, with all its layers."""
        if not self.images:
            raise Sam2PluginsError("There is no image: open one, and choose it above.")
        self.projects.bring_back()
        work = self.work
        if work is None:
            work = self.open_work(self.images[0])
            self.projects.save(work)
            # Loaded while the person looks for where to click.
            self.jobs.call(self.load_model, lambda _: None, self.fail)
        work.workspace.complete()
        return work

    def open_work(self, image: Any) -> Work:
        """Make the layers and the session of an image."""
        self.view()  # refuses what cannot be shown, before any layer is made
        workspace = Workspace(
            self.viewer,
            image,
            lambda: self.attempt(self.prompting.sync),
            self.keys,
            self._aim,
        )
        workspace.outline(OUTLINE if self.outlines else 0)
        session = Session(
            workspace.store,
            lambda: self.load_model(),
            lambda: self.memory,
            lambda: self.features,
        )
        work = self._works[image] = Work(workspace, session)
        workspace.store.on_edit = self.prompting.on_painted
        workspace.labels.events.selected_label.connect(self._on_label_selected)
        image.events.data.connect(self._on_image_changed)
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
        label = self._add_object(name)
        self.begin().history.admit_objects()
        return label

    def _add_object(self, name: str = "") -> int:
        work = self.begin()
        names = work.workspace.names
        label = free_label(names)
        names[label] = name or f"object {label}"
        self.select(label)
        self.objects_changed.emit()
        return label

    def select(self, label: int) -> None:
        """Let clicks, boxes and the brush mean an object; a first prompt makes a new one."""
        work = self.begin()
        self.selected = label
        work.workspace.select(label, self.excluding)
        work.workspace.refresh()
        self.objects_changed.emit()

    def _aim(self, index: Index, x: float, y: float) -> bool:
        """Before a click: select or make the object that it is on; whether it is a prompt."""
        work, line = self.work, self.line
        if not self.one_per_click or work is None or line is None or self.divisions.due:
            return True
        prompts = [
            prompt
            for (_, label), said in self.prompting.wanted(work, line).items()
            for prompt in said
            if label == self.selected
        ]
        here = [prompt.frame for prompt in prompts] == [line.frame(index)]
        fresh = here and prompts[0].points is not None
        meaning = meaning_of_click(x, y, work.workspace.store.on_frame(index), self.selected, fresh)
        if meaning == "new":
            label = self._add_object()
            self.told.emit(
                f"This begins {self.objects[label]}. Shift-click to add to the object before."
            )
        elif isinstance(meaning, int):
            self.select(meaning)
            self.told.emit(
                f"{self.objects.get(meaning, meaning)} is selected: click again to correct it."
            )
            return False
        return True

    def outline(self, outlines: bool) -> None:
        """Draw masks as outlines, or filled."""
        self.outlines = outlines
        for work in self._works.values():
            work.workspace.outline(OUTLINE if outlines else 0)

    def exclude(self, excluding: bool) -> None:
        """Let the next clicks say what does not belong to the object."""
        self.excluding = excluding
        if self.selected is not None and self.work is not None:
            self.work.workspace.select(self.selected, excluding)

    def rename(self, label: int, name: str) -> None:
        """Call an object something else."""
        work = self.work
        if work is not None and label in work.workspace.names:
            work.workspace.names[label] = name
            work.history.record("name")
        self.objects_changed.emit()

    def delete(self, label: int) -> None:
        """Remove an object with its masks and prompts."""
        work = self.work
        if work is None or label not in work.workspace.names:
            return
        workspace = work.workspace
        work.history.admit_objects()
        workspace.erase(label)
        workspace.lineage.remove(label)
        name = workspace.names.pop(label)
        work.history.record(f"removal of {name}", work.session.remove(label))
        self.told.emit(f"{name} is removed. Undo brings it back.")
        if self.selected == label:
            self.selected = None
            if workspace.names:
                self.select(next(iter(workspace.names)))
        self.show(work)
        self.objects_changed.emit()

    def live(self, label: int, life: Life) -> None:
        """Say on which frames an object exists; its masks and prompts beyond them go.

        Raises
        ------
        PromptError
            If it would end before it begins.
        """
        work, line = self.work, self.line
        if work is None or line is None or label not in work.workspace.names:
            return
        name = work.workspace.names[label]
        if life.first is not None and life.last is not None and life.first > life.last:
            raise PromptError(f"{name} cannot end on frame {life.last}, before it begins.")
        work.history.record(f"life of {name}", self.bound(work, line, label, life))
        self.show(work)
        self.objects_changed.emit()
        self.prompting.sync(replaying=True)

    def bound(self, work: Work, line: Line, label: int, life: Life) -> Change:
        """Give an object a life, and return what brings the masks beyond it back."""
        change: Change = {}
        work.session.lives[label] = life
        if life == Life():
            del work.session.lives[label]
        for index in work.workspace.store.indices(label):
            frame = line.frame(index)
            if frame is not None and frame not in life:
                work.workspace.erase(label, index)
                work.session.painted.pop((index, label), None)
                change[index, label] = work.workspace.store.put(index, label, None)
        return change

    def begin_here(self) -> None:
        """Let the selected object begin on the shown frame."""
        self._bound_here("begins", lambda life: Life(self.frame, life.last))

    def end_here(self) -> None:
        """Let the selected object end on the shown frame."""
        self._bound_here("ends", lambda life: Life(life.first, self.frame))

    def _bound_here(self, verb: str, change: Callable[[Life], Life]) -> None:
        work, label = self.work, self.selected
        if work is None or label not in work.workspace.names:
            self.failed.emit(f"Select the object that {verb} on this frame.")
            return
        assert label is not None
        self.live(label, change(work.session.lives.get(label, Life())))
        name = work.workspace.names[label]
        self.told.emit(f"{name} {verb} on frame {self.frame}: no run tracks it beyond.")

    def clean(self, kind: str, everywhere: bool = False) -> None:
        """Clean the selected object's masks up, on the shown frame or on all; see `CLEANERS`."""
        work, label = self.work, self.selected
        if work is None or label not in work.workspace.names:
            self.failed.emit("Select the object whose masks are to be cleaned up.")
            return
        assert label is not None
        if self.runs.running:
            self.failed.emit("Cancel the run first.")
            return
        space = work.workspace
        indices = space.store.indices(label) if everywhere else [space.step]
        change = clean(work.session, label, indices, CLEANERS[kind])
        work.history.record(kind.lower(), change, differ=True)
        name = space.names[label]
        self.told.emit(f"{kind}: {len(change)} of {len(indices)} masks of {name} changed.")
        self.show(work)
        self.objects_changed.emit()
        self.prompting.sync()

    # -- looking back

    def undo(self) -> None:
        """Take back the last change, whatever it is."""
        self._step("taken back", lambda work: work.history.undo())

    def redo(self) -> None:
        """Make the change again that was taken back last."""
        self._step("made again", lambda work: work.history.redo())

    def _step(self, done: str, step: Callable[[Work], Edit | None]) -> None:
        work = self.work
        if self.runs.running:
            self.failed.emit("Cancel the run first.")
            return
        if self.prompting.telling:
            self.prompting.after(lambda: self._step(done, step))
            return
        if work is not None:
            work.end_stroke()
        edit = step(work) if work is not None else None
        if work is None or edit is None:
            self.told.emit(
                f"There is nothing to {'take back' if 'back' in done else 'make again'}."
            )
            return
        names = work.workspace.names
        gone = {*edit.before.names, *edit.after.names} - {*names}
        if self.selected in gone and names:
            wanted = work.history.present.selected
            self.select(wanted if wanted in names else next(reversed(names)))
        self.divisions.forget()
        self.told.emit(f"The {edit.title} is {done}.")
        if work.workspace.tracks in self.viewer.layers:
            self.draw_tracks(work)
        self.show(work)
        self.objects_changed.emit()
        self.prompting.sync(replaying=True)

    def states(self, label: int | None = None) -> list[FrameState]:
        """How an object fared, frame by frame; of all objects the worst, if none is named."""
        return self._judgement(label)()

    def _judgement(self, label: int | None) -> Callable[[], list[FrameState]]:
        work, line = self.work, self.line
        if work is None or line is None:
            return list
        labels = list(work.workspace.names) if label is None else [label]
        said = work.session.said(line)
        store, length = work.workspace.store, self.length
        return lambda: states_along(store, line, length, labels, said, self._doubts)

    def shown_states(self) -> list[FrameState]:
        """What is known by now of the selected object, or of all of them, as the strip shows it."""
        work, line = self.work, self.line
        label = None if self.all_objects else self.selected
        if work is None or line is None or (label is None and not self.all_objects):
            return []
        store = work.workspace.store
        version: object = (store.changes, work.session.said(line), list(work.workspace.names))
        if self.all_objects and self.runs.running:
            version = None  # all of them after every frame would slow the run down
        return self._overview.states((work, line, label), version, self._judgement(label))

    def go_to_doubtful(self, forward: bool = True) -> None:
        """Show the next frame that should be looked at."""
        work, line = self.work, self.line
        if work is None or line is None:
            return
        here = self.frame
        states = self.shown_states() if self.all_objects else self.states(self.selected)
        frames = doubtful(states)
        after = [f for f in frames if f > here] if forward else [f for f in frames if f < here]
        if not after:
            self.told.emit(f"No doubtful frame {'after' if forward else 'before'} this one.")
            return
        frame = after[0] if forward else after[-1]
        work.workspace.go_to(line.index(frame))
        label = states[frame].label
        if label is not None and label != self.selected:
            self.select(label)

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
            self.recalled,
            self.progressed,
            self.proposals.changed,
            self.offers.changed,
        ):
            signal.disconnect()
        self.runs.cancel()
        self.viewer.layers.events.removed.disconnect(self._on_layer_removed)
        for image in list(self._works):
            self.close_work(image)

    def close_work(self, image: Any) -> None:
        """Let go of an image; its work is kept."""
        work = self._works.pop(image)
        work.end_stroke()
        self.projects.keep(image, work)
        work.workspace.close()
        work.workspace.labels.events.selected_label.disconnect(self._on_label_selected)
        image.events.data.disconnect(self._on_image_changed)

    def _on_layer_removed(self, event: Any) -> None:
        layer = event.value
        self.proposals.leave(layer)
        for image, work in list(self._works.items()):
            if layer in (image, work.workspace.labels):
                self.runs.cancel()
                self.close_work(image)
                self.selected = None
                back = "image" if layer is image else "next click"
                self.told.emit(
                    f"{layer.name} was removed. The objects are kept, and back with the {back}."
                )
        self.objects_changed.emit()

    def _on_image_changed(self, event: Any) -> None:
        image = event.source
        work = self._works[image]
        if work.workspace.fits(image):
            work.session.forget_frames()
            return
        self.runs.cancel()
        self.close_work(image)
        self.selected = None
        self.failed.emit(f"{image.name} has another shape now: the objects of before are closed.")
        self.objects_changed.emit()

    def _on_label_selected(self, event: Any) -> None:
        label = int(event.source.selected_label)
        work = self.work
        if label and work is not None and label != self.selected:
            self.select(label)

    def reselect(self, work: Work) -> None:
        """Make the next click mean the selected object again."""
        if self.selected is not None:
            work.workspace.select(self.selected, self.excluding)

    def show(self, work: Work) -> None:
        """Draw masks that have changed."""
        if work.workspace.labels in self.viewer.layers:
            work.workspace.refresh()
        self.masks_changed.emit()

    def draw_tracks(self, work: Work) -> None:
        """Draw the objects' paths, which are found in a worker."""
        self._tracks_wanted += 1
        wanted = self._tracks_wanted

        def show(tracks: Tracks) -> None:
            if wanted == self._tracks_wanted and work in self._works.values():
                work.workspace.show_tracks(*tracks)

        self.jobs.call(work.workspace.find_tracks, show, self.fail)

    def attempt(self, act: Callable[[], object]) -> bool:
        """Do what a person asked for; tell what is wrong with it, and return whether it was done.

        napari shows whatever a key or a button raises as a traceback.
        """
        try:
            act()
        except Sam2PluginsError as error:
            self.fail(error)
            return False
        return True

    def fail(self, error: Exception) -> None:
        """Tell what went wrong."""
        known = isinstance(error, Sam2PluginsError)
        self.failed.emit(str(error) if known else f"{type(error).__name__}: {error}")
