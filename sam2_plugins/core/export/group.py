"""Several formats at once, in one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from pathlib import Path

from sam2_plugins.core.errors import ExportError, message_of
from sam2_plugins.core.export.registry import Frames, Masks, Numbering, Subject, TrackWriter
from sam2_plugins.core.export.registry import formats as registered
from sam2_plugins.core.files import require_free
from sam2_plugins.core.masks import ObjectId, ObjectMask, plain_id

FORMATS: Mapping[str, str] = {name: one.file for name, one in registered().items()}
"""Name of a format to what it makes in the folder."""


def parse_formats(
    formats: str | Iterable[str], known: Collection[str] = tuple(FORMATS)
) -> tuple[str, ...]:
    """Read a list of formats such as "tiff,mp4", each once.

    Raises
    ------
    ExportError
        If there is none, or one that is not known.
    """
    parts = formats.split(",") if isinstance(formats, str) else formats
    names = tuple(dict.fromkeys(name for part in parts if (name := part.strip().lower())))
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        what = f"no format called {', '.join(map(repr, unknown))}" if unknown else "no format given"
        raise ExportError(f"There is {what}. Choose from {', '.join(known)}.")
    return names


def open_writers(
    out_dir: str | Path,
    formats: str | Iterable[str],
    frames: Frames,
    objects: Iterable[ObjectId] = (),
    *,
    in_order: bool = True,
    parents: Mapping[ObjectId, ObjectId] | None = None,
    names: Mapping[ObjectId, str] | None = None,
    overwrite: bool = False,
) -> WriterGroup:
    """Open writers for tracking results, one per format.

    Parameters
    ----------
    out_dir
        Folder of the results; made if it is not there.
    formats
        "tiff,mp4" or a list: see `FORMATS` for the names.
    frames
        The movie, as `open_frames` opened it: `tracker.frames`.
    objects
        Ids known beforehand: whole numbers among them stay as they are in label images.
    in_order
        Whether each frame comes once and after the one before, as from a forward propagation:
        then it is written at once. If not, results are gathered (masks only, which are small),
        merged by frame, and written when the group is closed.
    parents
        Daughter to mother, for `ctc`, `geff` and `trackmate`.
    names
        What a person called the objects, if not by their ids, for `csv`, `coco` and `trackmate`.
    overwrite
        Whether what is there under these names may be replaced.

    Raises
    ------
    ExportError
        If a format is not known, or a file is in the way or cannot be written.
    """
    if not hasattr(frames, "seekable"):
        raise ExportError(
            f"Writers need an opened movie, not a {type(frames).__name__}: give tracker.frames, or "
            "what open_frames returns."
        )
    folder = Path(out_dir)
    subject = Subject(
        frames,
        Numbering(objects),
        {} if parents is None else parents,
        {} if names is None else names,
    )
    wanted = parse_formats(formats)
    require_free((folder / FORMATS[name] for name in wanted), overwrite)
    group = WriterGroup(folder, in_order)
    try:
        for name in wanted:
            group.add(registered()[name].open(folder / FORMATS[name], subject))
    except Exception:
        with contextlib.suppress(ExportError):
            group.close()
        raise
    return group


class WriterGroup:
    """Writers that get the same results. Use it as a context manager, so that it is closed.

    A writer that fails is left out from then on, and the others go on; closing the group reports
    it. Only when none is left does the error come at once.
    """

    def __init__(self, path: Path, in_order: bool = True) -> None:
        self.path = path
        self.errors: list[ExportError] = []
        self._writers: list[TrackWriter] = []
        self._failed: list[TrackWriter] = []
        self._in_order = in_order
        self._last = -1
        self._gathered: dict[int, tuple[float, dict[ObjectId, ObjectMask]]] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on what was left out or changed for the rules of a format, once it is closed."""
        return tuple(note for w in self._writers for note in getattr(w, "notes", ()))

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths that were written without an error, and exist."""
        return tuple(w.path for w in self._writers if w.path.exists())

    def add(self, writer: TrackWriter) -> None:
        """Add a writer, before the first frame."""
        self._writers.append(writer)

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Write or gather what is known of one frame.

        Raises
        ------
        ExportError
            If it does not come in order, or something is no mask.
        """
        frame, time = plain_id(frame), float(time)
        masks = {plain_id(obj): _checked(frame, obj, mask) for obj, mask in masks.items()}
        if not self._in_order:
            _, known = self._gathered.setdefault(frame, (time, {}))
            known.update(masks)
            return
        if frame <= self._last:
            raise ExportError(
                f"Frame {frame} came after frame {self._last}: open the writers with "
                "in_order=False for results in any order."
            )
        self._last = frame
        self._write(frame, time, masks)
        if self.errors and not self._writers:
            raise self.errors[0]

    def close(self) -> None:
        """Write what was gathered, and finish every file.

        Raises
        ------
        ExportError
            If a writer has failed, then or before.
        """
        gathered, self._gathered = sorted(self._gathered.items()), {}
        for frame, (time, masks) in gathered:
            self._write(frame, time, masks)
        for writer in tuple(self._writers):
            self._try(writer, writer.close)
        for failed in self._failed:
            with contextlib.suppress(Exception):  # which follows from what is known already
                failed.close()
        self._failed.clear()
        if self.errors:
            errors, self.errors = self.errors, []
            raise ExportError(" ".join(dict.fromkeys(str(error) for error in errors)))

    def __enter__(self) -> WriterGroup:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self.close()
        except ExportError:
            # What stopped the work, such as Ctrl-C, is not to be hidden by what follows from it.
            if error is None:
                raise

    def _write(self, frame: int, time: float, masks: Masks) -> None:
        for writer in tuple(self._writers):
            self._try(writer, partial(writer.write, frame, time, masks))

    def _try(self, writer: TrackWriter, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # of any class: the other files are still finished
            if not isinstance(error, ExportError):
                named = ExportError(f"{writer.path} cannot be written: {message_of(error)}")
                named.__cause__, error = error, named
            self.errors.append(error)
            if writer in self._writers:
                self._writers.remove(writer)
                self._failed.append(writer)


def _checked(frame: int, obj: ObjectId, mask: ObjectMask) -> ObjectMask:
    if not isinstance(mask, ObjectMask):
        raise ExportError(
            f"Object {obj!r}, frame {frame}: masks are written as ObjectMask, not as "
            f"{type(mask).__name__}. ObjectMask.from_array makes one of an array."
        )
    return mask
