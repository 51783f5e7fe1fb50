"""What is learned from, what tells when to stop, and what is held out to judge the result.

The three never share a frame. What is held out is looked at twice, before and after: were it also
asked when to stop, the best of many looks would be taken for a better model.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sam2_plugins.core.errors import TrainingError
from sam2_plugins.training.finetuning.movies import AnnotatedMovie

HELD_OUT_SHARE = 0.2
"""Of the movies, or of the frames of a single one."""

STOPPING_SHARE = 0.25
"""Of what is left, the end of each movie; movies of one image are dealt out whole."""

_SHORTEST = 4  # annotated frames of a movie whose end is set apart


@dataclass(frozen=True)
class Split:
    """Movies to learn from, to stop by, and to judge by; parts of them are in order of time."""

    train: tuple[AnnotatedMovie, ...]
    stop: tuple[AnnotatedMovie, ...]
    held_out: tuple[AnnotatedMovie, ...]


def split_movies(
    movies: Sequence[AnnotatedMovie],
    *,
    held_out: Collection[str] = (),
    first_frames: int | None = None,
) -> Split:
    """Split by sequence; a single movie, or every one if `first_frames` is given, by time.

    Parameters
    ----------
    held_out
        Names of the movies to judge by. By default every fifth one, and at least one.
    first_frames
        Learn from annotations of this many frames at a movie's beginning, and judge by the rest.

    Raises
    ------
    TrainingError
        If a name is unknown, one movie is in both parts, too little is left of a part, or both
        `held_out` and `first_frames` are given.
    """
    names = [movie.name for movie in movies]
    if unknown := set(held_out) - set(names):
        raise TrainingError(
            f"No movie is called {sorted(unknown)[0]!r}: there are {', '.join(names)}."
        )
    if held_out and first_frames is not None:
        raise TrainingError(
            "Movies are held out whole, or judged by the frames after their first ones: give "
            "held_out or first_frames, not both."
        )
    if held_out:
        judges = [movie for movie in movies if movie.name in held_out]
        rest = [movie for movie in movies if movie.name not in held_out]
        _refuse_same(rest, judges)
    elif len(movies) == 1 or first_frames is not None:
        pairs = [_cut(movie, first_frames) for movie in movies]
        rest, judges = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    else:
        every = round(1 / HELD_OUT_SHARE)
        judged = set(range(len(movies) - 1, -1, -every))
        judges = [movie for i, movie in enumerate(movies) if i in judged]
        rest = [movie for i, movie in enumerate(movies) if i not in judged]
        _refuse_same(rest, judges)
    train, stop = _until_and_after(rest)
    for part, what in ((train, "learn from"), (stop, "stop by"), (judges, "judge by")):
        if not any(movie.masks for movie in part):
            mend = "" if first_frames is None else " choose other first_frames,"
            raise TrainingError(
                f"Nothing is left to {what}:{mend} annotate more frames, or more movies "
                f"(there are {sum(len(movie.masks) for movie in movies)} annotated frames)."
            )
    return Split(tuple(train), tuple(stop), tuple(movie for movie in judges if movie.masks))


def _refuse_same(learned: Sequence[AnnotatedMovie], judges: Sequence[AnnotatedMovie]) -> None:
    known = {_place(movie): movie for movie in learned}
    for movie in judges:
        if (other := known.get(_place(movie))) is not None:
            raise TrainingError(
                f"{other.name} and {movie.name} are annotations of the same movie, so that one "
                "would be judged by what was learned from the other. Hold both out, or none."
            )


def _place(movie: AnnotatedMovie) -> object:
    """Return what two of the same movie have in common."""
    source = movie.source
    paths = source if isinstance(source, list | tuple) else [source]
    if not all(isinstance(path, str | os.PathLike) for path in paths):
        return id(source)
    files = [os.path.realpath(os.path.expanduser(path)) for path in paths]
    return repr((files, sorted(movie.reading.items())))


def _cut(movie: AnnotatedMovie, first: int | None) -> tuple[AnnotatedMovie, AnnotatedMovie]:
    """Cut a movie in two, in time."""
    frames = movie.frames
    if first is None:
        first = frames[len(frames) - max(1, round(HELD_OUT_SHARE * len(frames)))] if frames else 0
    before = [frame for frame in frames if frame < first]
    return movie.only(before), movie.only(set(frames) - set(before))


def _until_and_after(
    movies: Sequence[AnnotatedMovie],
) -> tuple[list[AnnotatedMovie], list[AnnotatedMovie]]:
    """Set the end of each movie apart; of those too short for it, every fourth."""
    long = [movie for movie in movies if len(movie.masks) >= _SHORTEST]
    short = [movie for movie in movies if len(movie.masks) < _SHORTEST]
    stop = short[:: -round(1 / STOPPING_SHARE)] if len(short) > 1 else []
    train = [movie for movie in short if not any(movie is other for other in stop)]
    for movie in long:
        frames = movie.frames
        end = len(frames) - max(2, round(STOPPING_SHARE * len(frames)))
        train.append(movie.only(frames[:end]))
        stop.append(movie.only(frames[end:]))
    return train, stop
