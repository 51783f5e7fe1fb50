"""Requests, and reports of their results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from operator import index
from pathlib import Path
from typing import Any, Literal

from sam2_plugins.core.checkpoints import model_identity
from sam2_plugins.core.errors import Sam2PluginsError, message_of
from sam2_plugins.core.tracking.options import TrackingOptions

OUTPUT_FIELD = "sam2"


@dataclass(frozen=True)
class Request:
    """A propagation over samples: the arguments of `api.propagate`, which documents them, and more.

    Attributes
    ----------
    prompt_fields
        Names of fields, without `frames.`.
    options
        How it is tracked; its range of frames is that of each movie.
    label_ids
        Labels that are prompts; None: all.
    """

    prompt_fields: tuple[str, ...]
    output_field: str = OUTPUT_FIELD
    options: TrackingOptions = field(default_factory=TrackingOptions)
    first: int | None = None
    last: int | None = None
    prompt_frames: frozenset[int] | None = None
    label_ids: frozenset[str] | None = None
    masks_folder: Path | None = None
    remove_unprompted: bool = False
    all_objects: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Request:
        """Make a request of those values that belong to a request or its options."""
        known = {one.name for one in fields(cls)}
        given = {key: value for key, value in values.items() if key in known}
        given["prompt_fields"] = field_names(values.get("prompt_fields", ()))
        (given["output_field"],) = field_names(values.get("output_field", OUTPUT_FIELD))
        folder = given.pop("masks_folder", None) or None
        given["masks_folder"] = folder and Path(folder).expanduser().absolute()
        for name in ("first", "last"):
            if given.get(name) is not None:
                given[name] = whole_number(given[name], name)
        chosen = given.get("prompt_frames")
        if chosen is not None:
            numbers = chosen if isinstance(chosen, Iterable) else [chosen]
            given["prompt_frames"] = frozenset(whole_number(n, "prompt_frames") for n in numbers)
        return cls(**{"options": TrackingOptions.of(values), **given})

    @property
    def lost_field(self) -> str:
        """Field of the labels of objects that were looked for and not found."""
        return f"{self.output_field}_lost"

    @property
    def settings(self) -> tuple[Any, ...]:
        """All settings that a mask depends on, beside its prompts and the direction of tracking."""
        how = self.options
        given = model_identity(how.model, how.device), how.image_size, how.window, how.memory
        return given if how.neighbours else (*given, "alone")


@dataclass(frozen=True)
class Where:
    """Where the movies are tracked, as `api.propagate` documents it."""

    workers: int = 1
    dask: str | None = None

    def __post_init__(self) -> None:
        if whole_number(self.workers, "workers") < 1:
            raise Sam2PluginsError(
                f"The number of processes (workers) is a whole number from 1, not {self.workers}."
            )


@dataclass(frozen=True)
class Progress:
    """Progress of the work on a movie.

    Attributes
    ----------
    movie, movies
        How many have ended, and their number.
    done, total
        Steps of this movie.
    others
        How much of other movies is done that workers are at, too: 1 is a whole one.
    """

    name: str
    movie: int
    movies: int
    done: int
    total: int
    others: float = 0.0

    @property
    def share(self) -> float:
        """Of all the movies, 0 to 1."""
        return (self.movie + self.others + self.done / max(self.total, 1)) / self.movies

    def __str__(self) -> str:
        movie = f"{self.movie + 1} of {self.movies}: " if self.movies > 1 else ""
        return f"{movie}{self.name}, {self.done} of {self.total} frames"


State = Literal["done", "stopped", "failed", "no prompts"]


@dataclass(frozen=True)
class MovieReport:
    """The result of one movie.

    Attributes
    ----------
    frames, computed
        Frames with results, and of these, those that had to be computed now.
    objects, lost
        Number of objects, and of labels of one that is not there.
    problems
        A line for each label that could not be read as a prompt.
    unprompted, removed
        Names of the tracks that no label prompts any more, and whether they were removed.
    outdated
        A line for each object that keeps masks of earlier prompts or settings.
    born, divided, ended
        How often this happened on the way, where all objects were wanted.
    note
        What a person should know of these.
    """

    name: str
    sample_id: str
    state: State
    frames: int = 0
    computed: int = 0
    objects: int = 0
    lost: int = 0
    error: str = ""
    problems: tuple[str, ...] = ()
    unprompted: tuple[str, ...] = ()
    removed: bool = False
    outdated: tuple[str, ...] = ()
    born: int = 0
    divided: int = 0
    ended: int = 0
    note: str = ""

    @classmethod
    def stopped(cls, at: Progress) -> MovieReport:
        """Return the report of a movie in which a person stopped the work."""
        return cls(at.name, "", "stopped", frames=at.done)

    @property
    def notices(self) -> tuple[str, ...]:
        """Lines for a person, each of which names the movie."""
        return tuple(self._notices())

    def _notices(self) -> Iterator[str]:
        if self.state in ("failed", "no prompts"):
            yield f"{self.name}: {self.error or self.state}"
        if self.note:
            yield f"{self.name}: {self.note}"
        for problem in self.problems:
            yield f"{self.name}, {problem}"
        if self.unprompted and not self.removed:
            yield (
                f"{self.name}: {', '.join(self.unprompted)} stayed, though no label prompts it any "
                "more. Remove such tracks by remove_unprompted, or correct a mask of theirs."
            )
        for one in self.outdated:
            yield (
                f"{self.name}: {one} show masks of earlier prompts or settings, tagged “outdated”. "
                "Propagate over them, too."
            )


@dataclass(frozen=True)
class Report:
    """The results of all movies."""

    movies: tuple[MovieReport, ...] = field(default=())

    @classmethod
    def of(cls, movies: Iterable[MovieReport]) -> Report:
        """Take the last report of each movie: one that failed was tried again."""
        return cls(tuple({(movie.sample_id, movie.name): movie for movie in movies}.values()))

    @classmethod
    def gather(
        cls,
        events: Iterable[Progress | MovieReport],
        on_progress: Callable[[Progress], object] | None,
    ) -> Report:
        """Run work to its end, and collect its reports."""
        reports = []
        for event in events:
            if isinstance(event, MovieReport):
                reports.append(event)
            elif on_progress is not None:
                on_progress(event)
        return cls.of(reports)

    def count(self, state: State) -> int:
        """Number of movies in a state."""
        return sum(movie.state == state for movie in self.movies)

    @property
    def problems(self) -> tuple[str, ...]:
        """Lines for the user on what was not tracked, and other problems."""
        return tuple(line for movie in self.movies for line in movie.notices)

    def __str__(self) -> str:
        frames = sum(movie.frames for movie in self.movies)
        objects = sum(movie.objects for movie in self.movies)
        counts = [f"{self.count('done')} done"]
        counts += [f"{n} {s}" for s in ("stopped", "failed", "no prompts") if (n := self.count(s))]
        left = sum(len(movie.unprompted) for movie in self.movies if not movie.removed)
        more = f", {left} tracks without a prompt" if left else ""
        for name in ("born", "divided", "ended"):
            number = sum(getattr(movie, name) for movie in self.movies)
            more += f", {number} {name}" if number else ""
        return f"{', '.join(counts)}: {objects} objects on {frames} frames{more}"


def whole_number(value: Any, name: str) -> int:
    """Return a number as JSON, numpy or Python has it.

    Parameters
    ----------
    name
        For the message.

    Raises
    ------
    Sam2PluginsError
        If it is no whole number.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        return index(value)
    except TypeError as error:
        raise Sam2PluginsError(f"{name}: {value!r} is no whole number.") from error


def field_names(fields: str | Sequence[str]) -> tuple[str, ...]:
    """Return names of fields as the frames know them: without `frames.`, each once."""
    names = [fields] if isinstance(fields, str) else fields
    return tuple(dict.fromkeys(name.strip().removeprefix("frames.") for name in names))


def reason(error: Exception) -> str:
    """Explain an error; an unexpected one is also logged with its traceback."""
    message = message_of(error)
    if isinstance(error, Sam2PluginsError) or not message.startswith(type(error).__name__):
        return message
    logging.getLogger(__name__).error("Unforeseen error", exc_info=error)
    return (
        "It was ended by an unexpected error. It is in the log of FiftyOne's process; please "
        "report it."
    )
