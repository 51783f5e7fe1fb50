from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sam2_plugins.core.errors import TrainingError
from sam2_plugins.training.finetuning import AnnotatedMovie, Split, split_movies

from .conftest import discs


def movies(count: int, frames: int = 8) -> list[AnnotatedMovie]:
    made = []
    for i in range(count):
        made.append(AnnotatedMovie.from_labels(f"m{i}", *discs(frames)))
    return made


def places(part: tuple[AnnotatedMovie, ...]) -> set[tuple[str, int]]:
    return {(movie.name, frame) for movie in part for frame in movie.frames}


def assert_shares_nothing(split: Split) -> None:
    train, stop, held_out = (places(p) for p in (split.train, split.stop, split.held_out))
    assert not train & stop and not train & held_out and not stop & held_out
    assert train and stop and held_out


@pytest.mark.parametrize(("count", "frames"), [(1, 8), (2, 8), (7, 8), (12, 1)])
def test_no_frame_is_in_two_parts(count: int, frames: int) -> None:
    given = movies(count, frames)
    split = split_movies(given)
    assert_shares_nothing(split)
    everything = places(split.train) | places(split.stop) | places(split.held_out)
    assert everything == places(tuple(given))


def test_whole_movies_are_held_out_where_there_are_several() -> None:
    split = split_movies(movies(7))
    assert [movie.name for movie in split.held_out] == ["m1", "m6"]
    assert all(len(movie.frames) == 8 for movie in split.held_out)


def test_a_named_movie_is_held_out() -> None:
    split = split_movies(movies(3), held_out=["m0"])
    assert [movie.name for movie in split.held_out] == ["m0"]
    assert {movie.name for movie in split.train} == {"m1", "m2"}


def test_a_movie_is_cut_in_time_where_it_is_said() -> None:
    split = split_movies(movies(1), first_frames=5)
    assert split.held_out[0].frames == [5, 6, 7]
    assert max(frame for _, frame in places(split.train) | places(split.stop)) == 4


def test_two_annotations_of_one_movie_are_not_held_against_each_other(tmp_path: Path) -> None:
    frames, labels = discs(8)
    np.save(tmp_path / "movie.npy", frames)
    (tmp_path / "again.npy").symlink_to(tmp_path / "movie.npy")
    paths: list[object] = [tmp_path / "movie.npy", str(tmp_path / "again.npy")]
    for sources in (paths, [frames, frames]):
        named = zip("ab", sources, strict=True)
        with pytest.raises(TrainingError, match="a and b are annotations of the same movie"):
            split_movies([AnnotatedMovie.from_labels(name, one, labels) for name, one in named])


def test_two_annotations_of_one_movie_are_learned_from_where_another_movie_judges() -> None:
    frames, labels = discs(8)
    twice = [AnnotatedMovie.from_labels(name, frames, labels) for name in "ab"]
    split = split_movies([*twice, *movies(1)], held_out=["m0"])
    assert {movie.name for movie in split.train} == {"a", "b"}
    early = split_movies(twice, first_frames=5)
    assert {movie.name for movie in early.held_out} == {"a", "b"}


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(TrainingError, match=r"'m9'.*m0, m1"):
        split_movies(movies(2), held_out=["m9"])


def test_too_few_annotations_are_refused() -> None:
    frames, labels = discs(3)
    labels[1:] = 0
    with pytest.raises(TrainingError, match="annotate more frames"):
        split_movies([AnnotatedMovie.from_labels("cells", frames, np.asarray(labels))])


def test_first_frames_that_leave_nothing_are_named() -> None:
    with pytest.raises(TrainingError, match="Nothing is left to judge by: choose other first_fr"):
        split_movies(movies(1), first_frames=8)


def test_movies_are_not_held_out_and_cut_in_time_at_once() -> None:
    with pytest.raises(TrainingError, match="held_out or first_frames, not both"):
        split_movies(movies(3), held_out=["m0"], first_frames=4)
