"""Records of finished movies, so that another run skips them at once.

A record is in the dataset's execution store: the request, when the labels changed last, and the
report. FiftyOne stores the time of every change of a frame; a movie whose times are those of its
record has not changed since its run, if nobody has written to its masks on the disk.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import fiftyone as fo
from fiftyone.operators.store import ExecutionStore

from sam2_plugins.core.files import content_digest, digest_of, signature
from sam2_plugins.fiftyone_plugin.footage import OF_SAMPLES, Changes, Footage, Revise
from sam2_plugins.fiftyone_plugin.request import MovieReport, Request
from sam2_plugins.fiftyone_plugin.videos import Video

STORE = "sam2_plugins.done"
_MOST_MASKS = 50_000
"""Files of masks of a movie that a record names at most: the database limits its size."""

_AT_ONCE = 500
"""Movies whose times are read in one query."""


class Watched:
    """Footage that records the times of its own changes, to detect those of others.

    It is read and written like any footage.
    """

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        self._times = footage.times()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._footage, name)

    def revise(self, names: Sequence[str], frames: Collection[int], revise_one: Revise) -> Changes:
        """Set fields of labels, and note when, unless others have changed a frame before."""
        changes = self._footage.revise(names, frames, revise_one)
        for frame, (before, now) in changes.items():
            if self._times.get(frame) == before:
                self._times[frame] = now
        return changes

    def undisturbed(self) -> str | None:
        """Return the state of its labels; None if others have changed them meanwhile."""
        now = self._footage.times()
        return _digest(now) if now == self._times else None


def replaced_files(footage: Footage, note: bool = True) -> tuple[str, ...]:
    """Return a digest of the files if a sample has others than it had first; else nothing.

    Masks follow from it, too: those of a video that was replaced, under its name or by another
    filepath, are not those of the new one. Files that were moved are the same.

    Parameters
    ----------
    note
        Whether files of which nothing is known are the first ones from now on.
    """
    store, paths = _store(footage), [*map(Path, footage.files)]
    key = f"{footage.sample_id}/files/{digest_of(repr(footage.ids), 16)}"
    now, known = signature(*paths), store.get(key)
    if not now or not (known or note):
        return ()
    if known is None or known["signature"] != now:
        content = content_digest(*paths)
        first = content if known is None else known["first"]
        known = {"first": first, "content": content, "signature": now}
        store.set(key, known)
    return () if known["content"] == known["first"] else (known["content"],)


def keep(footage: Footage, request: Request, state: str, report: MovieReport) -> None:
    """Record that a movie is done."""
    names = (*request.prompt_fields, request.output_field)
    masks = sorted({path for name in names for path in footage.mask_paths(name)})
    if len(masks) <= _MOST_MASKS:
        values = {"wanted": _wanted(footage, request), "state": state, "report": asdict(report)}
        values |= {"masks": masks, "signature": signature(*map(Path, masks))}
        _store(footage).set(_key(footage, request), values)


def find_done(movies: Sequence[Footage], request: Request) -> Iterator[tuple[Footage, MovieReport]]:
    """Yield the movies that are as an earlier run of the same request left them, and its report."""
    if not movies:
        return
    store = _store(movies[0])
    known = {*store.list_keys()}
    candidates = []
    for movie in movies:
        found = store.get(_key(movie, request)) if _key(movie, request) in known else None
        if found is not None and found["wanted"] == _wanted(movie, request):
            candidates.append((movie, found))
    for begin in range(0, len(candidates), _AT_ONCE):
        some = candidates[begin : begin + _AT_ONCE]
        states = _states([movie for movie, _ in some])
        for movie, found in some:
            now = states.get(id(movie)), signature(*map(Path, found.get("masks", ())))
            if now == (found["state"], found.get("signature", "")):
                yield movie, _report(found["report"])


def _states(movies: Sequence[Footage]) -> dict[int, str]:
    """The states of movies by `id`, in one query for all the videos."""
    videos: dict[str, list[Footage]] = {}
    for one in movies:
        if isinstance(one, Video):
            videos.setdefault(one.sample_id, []).append(one)
    states = {id(one): _digest(one.times()) for one in movies if not isinstance(one, Video)}
    if videos:
        names = ["id", "frames.frame_number", "frames.last_modified_at"]
        samples = next(iter(videos.values()))[0].samples.select(list(videos))
        for id_, numbers, times in zip(*samples.values(names), strict=True):
            rows = [(n - 1, time) for n, time in zip(numbers or (), times or (), strict=True) if n]
            for one in videos[id_]:
                states[id(one)] = _digest({n: time for n, time in rows if one.shows(n)})
    return states


def _digest(times: Mapping[int, Any]) -> str:
    return digest_of(repr([(frame, str(time)) for frame, time in sorted(times.items())]), 16)


def _wanted(footage: Footage, request: Request) -> str:
    """Return a digest of a request and what it is of."""
    values: dict[str, Any] = {one.name: getattr(request, one.name) for one in fields(request)}
    values = {k: sorted(v) if isinstance(v, frozenset) else v for k, v in values.items()}
    values["options"] = request.options.identity()
    values |= {"files": other} if (other := replaced_files(footage, note=False)) else {}
    stages = footage.view._serialize() if isinstance(footage.view, fo.DatasetView) else []
    chosen = [
        (stage["_cls"], stage["kwargs"])
        for stage in stages
        if stage["_cls"].rpartition(".")[2] not in OF_SAMPLES
    ]
    shown = [*footage.span, footage.files, sorted(getattr(footage, "only", None) or ())]
    return digest_of(json.dumps([values, chosen, shown], sort_keys=True, default=str), 16)


def _key(footage: Footage, request: Request) -> str:
    return f"{footage.sample_id}/{request.output_field}/{footage.part}"


def _store(footage: Footage) -> ExecutionStore:
    return ExecutionStore.create(STORE, dataset_id=footage.dataset._root_dataset._doc.id)


def _report(values: Mapping[str, Any]) -> MovieReport:
    lists: Iterable[str] = ("problems", "unprompted", "outdated")
    return MovieReport(**{**values, **{name: tuple(values[name]) for name in lists}, "computed": 0})
