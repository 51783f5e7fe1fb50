"""A folder of results: which files this package made, from which inputs, and who works there.

`status.json` records the inputs and the state of each file; `masks.jsonl` holds the masks, from
which further formats are written without the model; `masks.memory` holds the memory banks until the
run is complete, so that it goes on exactly. Files that this package did not make, or that were
changed since, are never replaced or removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from sam2_plugins.batch.report import Report
from sam2_plugins.core.datasets.ctc import RESULT_TABLE
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export import FORMATS
from sam2_plugins.core.files import naming, replaced_by, signature

STATUS, JOURNAL, MEMORY = "status.json", "masks.jsonl", "masks.memory"
LOCK = ".lock"  # in a folder where results are made, that are then moved

PROMPTS = "prompts"
FILES = {**FORMATS, PROMPTS: "prompts.json"}
"""Format to the name of its file; the prompts are one too."""


class ResultFolder:
    """The results of one movie.

    Parameters
    ----------
    path
        Where they are when they are complete.
    work
        Where they are made; by default in their place, so that a person sees them grow.
    """

    def __init__(self, path: Path, work: Path | None = None) -> None:
        self.path = path
        self.work = path if work is None else work
        self._before: Report | None = None

    @property
    def in_place(self) -> bool:
        """Whether results are made where they stay."""
        return self.work == self.path

    @property
    def journal(self) -> Path:
        """The masks of the run at hand."""
        return self.work / JOURNAL

    def record(self) -> Report | None:
        """Return what is known of the results; None if there are none."""
        return Report.load(self.path / STATUS)

    def holds(self, run: Report, names: Iterable[str]) -> bool:
        """Whether complete results of the same inputs are there, in these files."""
        found = self.record()
        return (
            found is not None
            and found.state == "done"
            and found.inputs == run.inputs
            and all(name in found.made and _is_there(self.path / name) for name in names)
        )

    def changed(self, found: Report) -> tuple[str, ...]:
        """Note the finished files that were changed since they were made: they stay as they are."""
        made = ((self.path / name, mark) for name, mark in found.made.items())
        return tuple(
            f"{path} was changed since it was made, and stays so: delete it to have it made again."
            for path, mark in made
            if _is_there(path) and signature(path) != mark
        )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other processes; folders that stay empty are removed.

        Raises
        ------
        ExportError
            If another process is at it, or the folder cannot be made.
        """
        if self.in_place:
            with alone_in(self.path):
                yield
            return
        _refuse_link(self.path)
        _refuse_link(self.work)
        with alone_in(self.work, LOCK, self.path):
            yield
        with contextlib.suppress(OSError):
            self.work.rmdir()

    def begin(self, run: Report, wanted: Sequence[str], replaces: bool, force: bool) -> Report:
        """Record a run that begins, and remove what it replaces, unless that is not ours.

        Parameters
        ----------
        run
            What is to be made.
        wanted
            Names of the files wished for. Those that earlier inputs gave are made again too, so
            that a folder never shows two runs.
        replaces
            Whether results of other inputs may be replaced.
        force
            Whether files that were not made here, or were changed, may be replaced.

        Returns
        -------
        Report
            The run as it is recorded: `files` are to be made, `made` stay, `complete` tells whether
            the masks are all there.

        Raises
        ------
        ExportError
            If something is in the way.
        """
        found = self.record()
        same = found is not None and found.inputs == run.inputs
        if found is not None and not same and self._is_worth(found) and not (replaces or force):
            raise ExportError(
                f"{self.path} holds the results of another run, with {_differences(found, run)}. "
                "Choose another folder with --out, or in a list of videos another name; `track` "
                "replaces them with --overwrite."
            )
        if found is None and not force:
            self._refuse_strangers()
        earlier = None if self.in_place else Report.load(self.work / STATUS)
        if not self.in_place and not (self.work / STATUS).exists():
            # Where there is no record of a run that was cut off, what is there is not of one.
            for path in self.work.iterdir():
                if replaced_by(path.name) not in (LOCK, STATUS):
                    raise ExportError(
                        f"{path} was not made here, and is in the way. Move it, or choose another "
                        "folder with --out."
                    )
        names = list(wanted)
        kept: dict[str, str] = {}
        if found is not None and not (same and self._holds_masks(found)):
            found = replace(found, complete=False)
        if found is not None and found.complete:
            kept = {n: mark for n, mark in found.made.items() if self._stays(n, mark, force)}
            names = [name for name in names if name not in kept]
        elif found is not None:
            names += [name for name in (*found.made, *found.files) if _is_there(self.path / name)]
        names = list(dict.fromkeys(names))
        for name in names:
            self._require_ours(name, found, force)
        begun = replace(run, files=tuple(names), made=kept)
        if found is not None and found.complete:
            begun = replace(begun, complete=True, lineage=found.lineage, notes=found.notes)
        self._before = found if begun.complete else None
        if self.in_place:
            self._make_room(names, found)
        goes_on = same if self.in_place else earlier is not None and earlier.inputs == run.inputs
        if not goes_on:
            _forget_journal(self.work)
        begun.save(self.work / STATUS)
        return begun

    def publish(self, run: Report, files: Sequence[str]) -> Report:
        """Put these finished files in their place, and record them.

        Raises
        ------
        ExportError
            If something that is not ours came in the way meanwhile; the results stay in `work`.
        """
        unfinished = self._marks(name for name in run.files if name not in files)
        made = {**run.made, **self._marks(files)}
        run = replace(run, made=made, files=tuple(made))
        if self.in_place:
            run = replace(run, unfinished=unfinished)
            run.save(self.path / STATUS)
            if run.complete:
                (self.path / MEMORY).unlink(missing_ok=True)
            return run
        found = self.record()
        for name in files:
            self._require_ours(name, found, force=False)
        with naming(self.path):
            self._make_room(files, found)
            self.path.mkdir(parents=True, exist_ok=True)
            if self.journal.exists():
                os.replace(self.journal, self.path / JOURNAL)
            # First the record: what is missing after a crash is made again from the masks.
            run.save(self.path / STATUS)
            for name in files:
                os.replace(self.work / name, self.path / name)
            self._clear_work()
        return run

    def leave(self, run: Report) -> None:
        """Record how far an unfinished run came; if nothing was tracked, nothing is left behind."""
        if self._before is not None:  # what was complete before still is
            self._make_room(run.files, replace(run, state="running"))
            self._before.save(self.path / STATUS)
        elif run.frames:
            replace(run, made=self._marks(run.files)).save(self.work / STATUS)
        elif self.in_place:
            self._make_room(run.files, replace(run, state="running"))
            (self.path / STATUS).unlink(missing_ok=True)
            _forget_journal(self.path)
        else:
            self._clear_work()

    def _is_worth(self, found: Report) -> bool:
        """Whether anything was tracked; of a run that was killed, the masks show it."""
        kept = self.path / JOURNAL
        return found.frames > 0 or (kept.is_file() and kept.stat().st_size > 0)

    def _holds_masks(self, found: Report) -> bool:
        """Whether the journal holds the masks of all frames."""
        kept = self.path / JOURNAL
        return found.complete and kept.is_file() and kept.read_bytes().count(b"\n") >= found.frames

    def _stays(self, name: str, mark: str, force: bool) -> bool:
        """Whether a finished file stays: a changed one does, unless changes are to be replaced."""
        path = self.path / name
        return _is_there(path) and not (force and signature(path) != mark)

    def _refuse_strangers(self) -> None:
        """Where there is no record, nothing is ours."""
        if self.in_place:
            names: Iterable[str] = (STATUS, JOURNAL, MEMORY)
        else:
            names = (one.name for one in self.path.iterdir()) if self.path.is_dir() else ()
        for name in names:
            self._require_ours(name, None, force=False)
        if self.path.exists() and not self.path.is_dir():
            raise ExportError(f"{self.path} is a file. Choose another folder with --out.")

    def _clear_work(self) -> None:
        """Remove what a run makes, and nothing else; the record last, if this is cut off."""
        for path in sorted(self.work.iterdir(), key=lambda one: one.name == STATUS):
            if replaced_by(path.name) not in (*FILES.values(), STATUS, JOURNAL, MEMORY):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _require_ours(self, name: str, found: Report | None, force: bool) -> None:
        path = self.path / name
        if force or not _is_there(path) or self._is_ours(name, found):
            return
        changed = found is not None and name in found.made
        raise ExportError(
            f"{path} {'was changed since it was made' if changed else 'was not made here'}, and is "
            "not to be replaced or mixed with results. Choose another folder with --out, or move "
            "it away; `track` replaces it with --overwrite."
        )

    def _is_ours(self, name: str, found: Report | None) -> bool:
        if found is None or (self.path / name).is_symlink():
            return False
        if found.state == "running":  # and was killed: its end is not recorded
            return name in (*found.files, *found.made)
        ours = {**found.made, **found.unfinished}
        return ours.get(name) == signature(self.path / name)

    def _marks(self, names: Iterable[str]) -> dict[str, str]:
        """Return the signatures of what there is of these files."""
        marks = {name: signature(self.work / name) for name in names}
        return {name: mark for name, mark in marks.items() if mark}

    def _make_room(self, names: Iterable[str], found: Report | None) -> None:
        """Remove files that may go. Of a folder, only what its writer made goes."""
        for name in names:
            path = self.path / name
            with naming(path):
                if not path.is_dir() or path.is_symlink():
                    path.unlink(missing_ok=True)
                elif self._is_ours(name, found):
                    for file in (*path.glob("mask*.tif"), path / RESULT_TABLE):
                        file.unlink(missing_ok=True)
                    with contextlib.suppress(OSError):  # something else is in it
                        path.rmdir()


@contextlib.contextmanager
def alone_in(
    folder: Path, name: str = ".sam2-plugins.lock", named: Path | None = None
) -> Iterator[None]:
    """Lock a folder against our other processes: it is made, and removed if it stays empty.

    Parameters
    ----------
    name
        Of the lock, a file in the folder.
    named
        What to call the folder in a message, if not by its own name.

    Raises
    ------
    ExportError
        If another process is there, or the folder cannot be made.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    path = folder / name
    lock = FileLock(path)
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise ExportError(
                f"Another process is working on {named or folder}. Wait for it, or stop it; or "
                "choose another folder."
            ) from error
        except NotImplementedError:
            pass  # the disk knows no locks
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # before it is released; Windows does it by itself
            path.unlink()
        lock.release()
        for one in missing:
            with contextlib.suppress(OSError):
                one.rmdir()


class VideoFolder(ResultFolder):
    """`OUT/NAME`, which is made as `OUT/.NAME.part`: a result is complete or not there."""

    def __init__(self, out: Path, name: str) -> None:
        super().__init__(out / name, out / f".{name}.part")


def _forget_journal(folder: Path) -> None:
    for name in (JOURNAL, MEMORY):
        (folder / name).unlink(missing_ok=True)


def _is_there(path: Path) -> bool:
    """Whether there is something of that name, be it a link to nothing."""
    return os.path.lexists(path)


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise ExportError(
            f"{path} is a link, and nothing is written through it. Remove the link, or choose "
            "another folder with --out."
        )


def _differences(found: Report, run: Report) -> str:
    """Name the inputs that differ."""
    differs = [key for key in run.inputs if found.inputs.get(key) != run.inputs[key]]
    kinds = {"movie": "another movie", "prompts": "other prompts", "model": "another model"}
    return " and ".join(kinds.get(key, "other options") for key in differs) or "other options"
