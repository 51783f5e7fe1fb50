"""How well masks fit the truth: by frame to sort and filter, by track, by movie."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeAlias

import numpy as np
from scipy.optimize import linear_sum_assignment

from sam2_plugins.core.datasets.labelled_frames import Absent
from sam2_plugins.core.errors import told
from sam2_plugins.core.evaluation import LabelImages
from sam2_plugins.core.evaluation.metrics import SequenceScores
from sam2_plugins.core.evaluation.metrics import evaluate as score_stacks
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.fiftyone_plugin.documents import single_labels
from sam2_plugins.fiftyone_plugin.finding import find_footage
from sam2_plugins.fiftyone_plugin.footage import Footage, FootageError
from sam2_plugins.fiftyone_plugin.prompting import check_prompt_field, class_names, state
from sam2_plugins.fiftyone_plugin.request import Progress

EVAL_KEY = "sam2_eval"

Key: TypeAlias = "int | str"
Tracks: TypeAlias = "dict[Key, dict[int, ObjectMask]]"


@dataclass(frozen=True)
class TrackScores:
    """One true object: its name, and J and F over the frames after its prompt."""

    key: Key
    J: float
    F: float
    frames: int


@dataclass(frozen=True)
class MovieScores:
    """One movie: means over its objects, or why it could not be judged."""

    name: str
    sample_id: str
    J: float = float("nan")
    F: float = float("nan")
    tracks: tuple[TrackScores, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class EvaluationReport:
    """All movies."""

    movies: tuple[MovieScores, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """A line for each movie that could not be judged."""
        return tuple(f"{movie.name}: {movie.error}" for movie in self.movies if movie.error)

    def __str__(self) -> str:
        judged = [movie for movie in self.movies if not movie.error]
        if not judged:
            return "Nothing could be judged"
        J, F = (fmean(values) for values in zip(*((m.J, m.F) for m in judged), strict=True))
        tracks = sum(len(movie.tracks) for movie in judged)
        return f"J {J:.3f}, F {F:.3f}: {tracks} objects in {len(judged)} movies"


Events: TypeAlias = "Generator[Progress | MovieScores, None, None]"


def evaluate(
    view: Any,
    pred_field: str,
    gt_field: str,
    eval_key: str = EVAL_KEY,
    *,
    absent: Absent = "davis",
    group_by: str | None = None,
    order_by: str | None = None,
) -> EvaluationReport:
    """Compare masks with the truth, and write what was found to fields.

    On each predicted label: `<eval_key>_iou` on its frame, and `<eval_key>_J` and `<eval_key>_F` of
    its track. On each frame: `<eval_key>_iou`, the mean over the true objects there, of which a
    missed one counts 0. On each sample: `<eval_key>_J` and `<eval_key>_F`.

    Parameters
    ----------
    pred_field, gt_field
        Fields on the frames with masks. Objects are matched by index; where none is shared, by
        their overlap.
    absent
        What frames without the true object do to its J and F. "davis": nothing predicted counts 1,
        anything else 0; "ignore": they do not count, as for cells, of which a division is the end.

    Raises
    ------
    FootageError
        If a field is not there or holds no labels.
    """
    movies = check_evaluation(view, pred_field, gt_field, eval_key, group_by, order_by)
    events = run(movies, pred_field, gt_field, eval_key, absent)
    return EvaluationReport(tuple(event for event in events if isinstance(event, MovieScores)))


def check_evaluation(
    view: Any,
    pred_field: str,
    gt_field: str,
    eval_key: str,
    group_by: str | None = None,
    order_by: str | None = None,
) -> list[Footage]:
    """Return the movies to judge; raise `FootageError` if a field does not fit."""
    movies = find_footage(view, group_by, order_by)
    for name in (pred_field, gt_field):
        check_prompt_field(movies[0].schema(), name)
    if pred_field == gt_field:
        raise FootageError("The masks and the truth are the same field. Choose two.")
    if not eval_key.isidentifier():
        raise FootageError(f"{eval_key!r} is no name of a field: use letters, digits and _.")
    return movies


def run(
    movies: Sequence[Footage],
    pred_field: str,
    gt_field: str,
    eval_key: str,
    absent: Absent = "davis",
) -> Events:
    """Judge movies one by one. One that fails does not stop the others."""
    for number, footage in enumerate(movies):
        try:
            scores = _judge(footage, pred_field, gt_field, eval_key, absent)
        except Exception as error:
            scores = MovieScores(footage.name, footage.sample_id, error=told(error))
        yield Progress(footage.name, number, len(movies), 1, 1)
        yield scores


def match_tracks(pred: Tracks, truth: Tracks) -> dict[Key, Key]:
    """Say which prediction is of which true object: by name, or else by overlap.

    Returns
    -------
    dict
        Key of the prediction to that of the truth.
    """
    if shared := pred.keys() & truth.keys():
        return {key: key for key in shared}
    rows, columns = list(pred), list(truth)
    overlap = np.array([[_overlap(pred[p], truth[t]) for t in columns] for p in rows])
    overlap = overlap.reshape(len(rows), len(columns))
    pairs = zip(*linear_sum_assignment(-overlap), strict=True)
    return {rows[i]: columns[j] for i, j in pairs if overlap[i, j] > 0}


def _overlap(one: Mapping[int, ObjectMask], other: Mapping[int, ObjectMask]) -> float:
    return sum(one[frame].iou_with(other[frame]) for frame in one.keys() & other.keys())


def _judge(
    footage: Footage, pred_field: str, gt_field: str, eval_key: str, absent: Absent
) -> MovieScores:
    with footage.open() as frames:
        frame_size = frames.height, frames.width
    truth = read_tracks(footage, gt_field, frame_size)
    if not truth:
        raise FootageError(f"Its frames have no masks in {gt_field!r}.")
    pred = read_tracks(footage, pred_field, frame_size)
    true_key = match_tracks(pred, truth)
    found = {true_key[key]: masks for key, masks in pred.items() if key in true_key}
    prompted = {true_key.get(k, k): f for k, f in _keyframes(footage, pred_field).items()}
    scores = _score(found, truth, prompted, frame_size, absent)
    numbers = list(truth)
    by_key = {numbers[one.id - 1]: one for one in scores.objects}
    _write(footage, pred_field, eval_key, true_key, truth, found, by_key)
    for name in "JF":
        footage.write_samples(f"{eval_key}_{name}", _known(getattr(scores, name)))
    tracks = tuple(TrackScores(key, one.J, one.F, one.frames) for key, one in by_key.items())
    return MovieScores(footage.name, footage.sample_id, scores.J, scores.F, tracks)


def _score(
    found: Tracks,
    truth: Tracks,
    prompted: Mapping[Key, int],
    frame_size: tuple[int, int],
    absent: Absent,
) -> SequenceScores:
    """Score with the core's rules, which know objects as numbers from 1."""
    numbers = {key: number for number, key in enumerate(truth, start=1)}
    length = 1 + max(frame for masks in truth.values() for frame in masks)
    starts = {
        numbers[key]: min(prompted.get(key, min(masks)), length - 1) for key, masks in truth.items()
    }
    pred, gt = (
        LabelImages(_by_frame({numbers[k]: t[k] for k in t}, length), frame_size)
        for t in (found, truth)
    )
    return score_stacks(pred, gt, objects=starts, prompt_frame=starts, absent=absent)


def _by_frame(
    tracks: Mapping[int, Mapping[int, ObjectMask]], length: int
) -> list[dict[int | str, ObjectMask]]:
    return [
        {obj: masks[frame] for obj, masks in tracks.items() if frame in masks}
        for frame in range(length)
    ]


def read_tracks(footage: Footage, name: str, frame_size: tuple[int, int]) -> Tracks:
    """Masks by object and frame."""
    names = class_names(footage.dataset, name)
    tracks: Tracks = {}
    for frame, value in footage.read(name):
        for label in single_labels(value):
            for said in state(frame, label, frame_size, names):
                if said.cue.mask is None:
                    raise FootageError(f"{name!r} has labels without a mask, on frame {frame + 1}.")
                key = said.instance or said.id if said.index is None else said.index
                tracks.setdefault(key, {})[frame] = said.cue.mask
    return tracks


def _keyframes(footage: Footage, name: str) -> dict[Key, int]:
    """First frame of each object that was prompted."""
    first: dict[Key, int] = {}
    for frame, value in footage.read(name):
        for label in single_labels(value):
            if "keyframe" in label.field_names and label["keyframe"]:
                first.setdefault(_key(label), frame)
    return first


def _key(label: Any) -> Key:
    """Name an object as `read_tracks` does."""
    fields = label.field_names
    if "index" in fields and label["index"] is not None:
        return label["index"]
    instance = label["instance"] if "instance" in fields else None
    return str(label.id if instance is None else instance.id)


def _write(
    footage: Footage,
    name: str,
    eval_key: str,
    true_key: Mapping[Key, Key],
    truth: Tracks,
    found: Tracks,
    scores: Mapping[Key, Any],
) -> None:
    """Write the scores to the labels and to the frames."""
    values: dict[int, Any] = {}
    for frame, value in footage.read(name):
        for label in single_labels(value):
            key = true_key.get(_key(label))
            label[f"{eval_key}_iou"] = None if key is None else _iou(found, truth, key, frame)
            track = scores.get(key) if key is not None else None
            for what in "JF":
                label[f"{eval_key}_{what}"] = None if track is None else getattr(track, what)
        values[frame] = value
    footage.write(name, values)
    footage.write(f"{eval_key}_iou", dict(_frame_means(truth, found)))


def _frame_means(truth: Tracks, found: Tracks) -> Iterator[tuple[int, float]]:
    for frame in sorted({frame for masks in truth.values() for frame in masks}):
        there = [key for key, masks in truth.items() if frame in masks]
        yield frame, fmean(_iou(found, truth, key, frame) for key in there)


def _iou(found: Tracks, truth: Tracks, key: Key, frame: int) -> float:
    """Return the IoU; 0 if only one of the two is on the frame."""
    mask, true = found.get(key, {}).get(frame), truth[key].get(frame)
    return 0.0 if mask is None or true is None else mask.iou_with(true)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value
