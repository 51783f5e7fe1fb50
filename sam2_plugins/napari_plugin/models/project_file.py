"""The project file: all work on one image, appended while it is done, so that a crash loses none.

JSON Lines. The first line says what the file is and which image it is of. Of those after it, in any
order, ``{"at": [7], "label": 3, "iou": …, "score": …, "offset": [x, y], "mask": {…}}`` is the mask
of an object on a frame (its tight crop, as COCO run-length encoding; ``null``: none any more),
``{"all_cells": {…}}`` what a run over all cells began from, or how far it is, and
``{"state": {…}}`` is all the rest: names, prompts, lineage, choices. Of several lines on the same
thing the last counts. What a crash left of a last line is ignored.
"""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from time import monotonic
from typing import Any, BinaryIO

from sam2_plugins.core import files
from sam2_plugins.core.errors import ExportError, Sam2PluginsError
from sam2_plugins.core.lineage import LineageJournal
from sam2_plugins.core.masks import ObjectMask, rle
from sam2_plugins.core.masks.journal import whole_lines
from sam2_plugins.core.masks.masklet import spans_of
from sam2_plugins.core.tracking.schedule import Life
from sam2_plugins.napari_plugin.layers.frames import Line
from sam2_plugins.napari_plugin.layers.marks import Marks
from sam2_plugins.napari_plugin.layers.mask_store import Index
from sam2_plugins.napari_plugin.models.history import State
from sam2_plugins.napari_plugin.models.prompt_log import Beside, Key
from sam2_plugins.napari_plugin.models.requests import CELLS_SUFFIX, AllCells, Choices, Click, Offer
from sam2_plugins.napari_plugin.models.session import Painted

SUFFIX = ".sam2"
FORMAT, VERSION = "sam2_plugins napari project", 1
SYNC_SECONDS = 2.0
"""Between two moments at which what was written is sure to be on the disk."""

Masks = dict[Index, dict[int, ObjectMask]]
Current = dict[tuple[Line, int], frozenset[int]]
"""Frames by line and object whose masks follow from the prompts."""


@dataclass(frozen=True)
class ImageFacts:
    """Properties by which the image of a project is recognised."""

    name: str
    shape: tuple[int, ...]
    path: str = ""
    digest: str = field(default="", compare=False)
    """Of a few frames when the work began; "" in projects of earlier versions."""


@dataclass(frozen=True)
class Saved:
    """All work on one image."""

    image: ImageFacts
    state: State = field(default_factory=State)
    choices: Choices = field(default_factory=Choices)
    masks: Masks = field(default_factory=dict)
    current: Current = field(default_factory=dict)
    beside: Mapping[Key, Beside] = field(default_factory=dict)
    corrected: Masks = field(default_factory=dict)
    """Painted masks that are shown otherwise since, for clicks have corrected them."""
    all_cells: AllCells | None = None
    """A run over all cells that was broken off."""
    damaged: int = 0
    """Lines of the file that could not be read."""


class Project:
    """Appends to a project file from a thread of its own: the window never waits for the disk.

    Parameters
    ----------
    image
        Returns of which image it is, in that thread, if the file is new.

    Attributes
    ----------
    error
        What went wrong with writing; None if nothing did.
    """

    def __init__(self, path: Path, image: Callable[[], ImageFacts]) -> None:
        self.path = Path(path)
        self.error: Sam2PluginsError | None = None
        self._image = image
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="sam2 project", daemon=True)
        self._thread.start()

    def put_masks(self, index: Index, masks: Mapping[int, ObjectMask | None]) -> None:
        """Append masks of a frame by label, None for those that are gone; from any thread."""
        self._queue.put((index, masks))

    def put_state(self, saved: Saved) -> None:
        """Append everything but the masks."""
        self._queue.put(saved)

    def put_all_cells(self, values: Mapping[str, Any]) -> None:
        """Append what a run over all cells began from, or how far it is; from any thread."""
        self._queue.put({"all_cells": values})

    def close(self) -> None:
        """Wait until everything is on the disk."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()

    def _write(self) -> None:
        try:
            self._append_all()
        except OSError as error:
            self.error = ExportError(f"{self.path} cannot be written: {error.strerror or error}.")
        except ExportError as error:
            self.error = error

    def _append_all(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            whole = whole_lines(self.path)
            file.truncate(whole)
            if not whole:
                file.write(_line(_header(self._image())))
            synced = monotonic()
            while (item := self._queue.get()) is not None:
                if isinstance(item, tuple):
                    file.writelines(_masks(*item))
                else:
                    file.write(_line(_state(item) if isinstance(item, Saved) else item))
                if self._queue.empty():
                    file.flush()
                    self._require_in_place(file)
                    if monotonic() - synced > SYNC_SECONDS:
                        os.fsync(file.fileno())
                        synced = monotonic()
            file.flush()
            os.fsync(file.fileno())
            self._require_in_place(file)

    def _require_in_place(self, file: BinaryIO) -> None:
        """Check that what is written goes to the path: files are tidied up while they are open."""
        with suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                return
        raise ExportError(f"{self.path} was removed, moved or replaced while it was open.")


def journal_of(project: Project) -> LineageJournal:
    """Path of the journal of runs over all cells, beside the project file."""
    return LineageJournal(project.path.with_name(f"{project.path.name}{CELLS_SUFFIX}"))


def write_project(path: Path, saved: Saved) -> None:
    """Write a whole project file anew, or leave what was there.

    Raises
    ------
    ExportError
        If it cannot be written.
    """
    with files.replacing(path) as fresh, fresh.open("wb") as file:
        file.write(_line(_header(saved.image)))
        for index, masks in saved.masks.items():
            file.writelines(_masks(index, masks))
        if saved.all_cells is not None:
            file.write(_line({"all_cells": saved.all_cells.begun()}))
        file.write(_line(_state(saved)))


def read_facts(path: Path) -> ImageFacts:
    """Read of which image a project file is.

    Raises
    ------
    Sam2PluginsError
        If it is no project file, or cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            first = json.loads(file.readline())
    except OSError as error:
        raise Sam2PluginsError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError:
        first = {}
    if not isinstance(first, dict) or first.get("format") != FORMAT:
        raise Sam2PluginsError(f"{path} is no project of this dock.")
    if first.get("version") != VERSION:
        raise Sam2PluginsError(
            f"{path} is of version {first.get('version')!r}, and this program reads {VERSION}: "
            "update sam2_plugins."
        )
    image = first["image"]
    known = {key: str(image.get(key, "")) for key in ("path", "digest")}
    return ImageFacts(str(image["name"]), tuple(image["shape"]), **known)


def read_project(path: Path) -> Saved:
    """Read a project file, without what a crash left of its last line.

    Raises
    ------
    Sam2PluginsError
        If it is no project file, or cannot be read.
    """
    facts = read_facts(path)
    masks: Masks = {}
    state: dict[str, Any] = {}
    run: dict[str, Any] = {}
    goes_on = False
    damaged = 0
    with Path(path).open("rb") as file:
        file.readline()
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
                if "state" in entry:
                    state = entry["state"]
                    reached = state.get("all_cells")
                    goes_on = reached is not None  # not after an edit, but again when it is undone
                    run.update(reached or {})
                elif "all_cells" in entry:
                    goes_on = True
                    run.update(entry["all_cells"])
                else:
                    _read_mask(entry, facts.shape[-2:], masks)
            except (ValueError, KeyError, TypeError):
                damaged += 1
    saved = replace(Saved(facts), masks=masks, damaged=damaged)
    if goes_on and "frames" in run:
        # What is damaged of a run is not gone on with.
        with suppress(ValueError, KeyError, TypeError, Sam2PluginsError):
            saved = replace(saved, all_cells=AllCells.of(run, beside=path))
    return _read_state(state, saved)


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _header(image: ImageFacts) -> dict[str, Any]:
    about = {**vars(image), "shape": list(image.shape)}
    return {"format": FORMAT, "version": VERSION, "image": about}


def _masks(index: Index, masks: Mapping[int, ObjectMask | None]) -> Iterator[bytes]:
    for label, mask in masks.items():
        yield _line(_mask(index, label, mask))


def _mask(index: Index, label: int, mask: ObjectMask | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"at": list(index), "label": label}
    if mask is None:
        return {**entry, "mask": None}
    crop = rle.encode(mask.crop, 0, mask.crop.shape) if mask.visible else {"size": [0, 0]}
    sure = {"iou": _number(mask.iou), "score": _number(mask.score)}
    return {**entry, **sure, "offset": list(mask.offset), "mask": crop}


def _read_mask(entry: Mapping[str, Any], frame_size: tuple[int, ...], masks: Masks) -> None:
    here = masks.setdefault(tuple(entry["at"]), {})
    encoded, label = entry["mask"], int(entry["label"])
    if encoded is None:
        here.pop(label, None)
        return
    iou, score = (math.nan if entry[key] is None else entry[key] for key in ("iou", "score"))
    height, width = frame_size
    if encoded["size"] == [0, 0]:
        here[label] = ObjectMask.empty((height, width), iou, score)
        return
    x, y = entry["offset"]
    here[label] = ObjectMask(rle.decode(encoded), (x, y), (height, width), iou, score)


def _state(saved: Saved) -> dict[str, Any]:
    state, choices = saved.state, saved.choices
    lives = [[label, life.first, life.last] for label, life in state.lives.items()]
    current = [
        [line.axis, list(line.at), label, spans_of(frames)]
        for (line, label), frames in saved.current.items()
    ]
    return {
        "state": {
            "names": list(state.names.items()),
            "mothers": list(state.mothers.items()),
            "lives": lives,
            # The masks themselves are among the others, as long as they are shown.
            "painted": [[list(index), label] for index, label in state.painted],
            "corrected": [
                _mask(index, label, mask)
                for index, masks in saved.corrected.items()
                for label, mask in masks.items()
            ],
            "taken": [[layer, n, label] for (layer, n), label in state.taken.items()],
            "clicks": state.marks.clicks,
            "shapes": state.marks.shapes,
            "selected": state.selected,
            "current": current,
            "beside": [
                [line.axis, line.at, *entry, beside]
                for (line, *entry), beside in saved.beside.items()
            ],
            "choices": vars(choices),
            "all_cells": None if saved.all_cells is None else saved.all_cells.reached(),
            "offers": [astuple(offer) for offer in state.offers],
            "waiting": [astuple(click) for click in state.waiting],
        }
    }


def _read_state(state: Mapping[str, Any], saved: Saved) -> Saved:
    """Read a state line; it is empty in a file that has none yet."""
    if not state:
        return saved
    painted = {}
    corrected: Masks = {}
    for entry in state.get("corrected", ()):
        _read_mask(entry, saved.image.shape[-2:], corrected)
    for at, label in state["painted"]:
        mask = {**saved.masks.get(tuple(at), {}), **corrected.get(tuple(at), {})}.get(label)
        if mask is not None:
            painted[tuple(at), int(label)] = Painted(mask, None)
    marks = Marks(
        tuple((tuple(at), int(label), str(meaning)) for at, label, meaning in state["clicks"]),
        tuple((kind, tuple(map(tuple, at)), int(label)) for kind, at, label in state["shapes"]),
    )
    made = State(
        names={int(label): str(name) for label, name in state["names"]},
        mothers={int(daughter): int(mother) for daughter, mother in state["mothers"]},
        lives={int(label): Life(first, last) for label, first, last in state["lives"]},
        painted=painted,
        taken={(str(layer), int(n)): int(label) for layer, n, label in state["taken"]},
        marks=marks,
        selected=state["selected"],
        offers=tuple(
            Offer(kind, frame, tuple(labels), reason, mother)
            for kind, frame, labels, reason, mother in state.get("offers", ())
        ),
        waiting=tuple(Click(tuple(at), *about) for at, *about in state.get("waiting", ())),
    )
    current = {
        (Line(axis, tuple(at)), int(label)): frozenset(
            frame for first, last in ranges for frame in range(first, last + 1)
        )
        for axis, at, label, ranges in state["current"]
    }
    beside = {
        (Line(axis, tuple(at)), int(frame), int(label)): tuple(
            None if places is None else tuple((x, y) for x, y in places) for places in prompts
        )
        for axis, at, frame, label, prompts in state.get("beside", ())
    }
    choices = Choices.of(state["choices"])
    return replace(saved, state=made, choices=choices, current=current, beside=beside)


def _number(value: float) -> float | None:
    """JSON has no nan: what no model predicted is null."""
    return None if math.isnan(value) else round(float(value), 4)
