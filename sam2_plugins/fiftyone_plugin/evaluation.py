"""Scores of masks against the ground truth, by frame, by track and by movie."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import Any, TypeAlias

from sam2_plugins.core.datasets.dataset import Absent
from sam2_plugins.core.evaluation import label_images
from sam2_plugins.core.evaluation.metrics import ObjectScores
from sam2_plugins.core.evaluation.metrics import evaluate as score_stacks
from sam2_plugins.core.evaluation.object_ids import ids_by_overlap
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.fiftyone_plugin.checks import (
    check_values,
    check_writable,
    frame_schema,
    label_schema,
)
from sam2_plugins.fiftyone_plugin.documents import instance_of, labels_of, value_of
from sam2_plugins.fiftyone_plugin.fields import find_field
from sam2_plugins.fiftyone_plugin.finding import find_footage
from sam2_plugins.fiftyone_plugin.footage import Footage, FootageError
from sam2_plugins.fiftyone_plugin.objects import object_name
from sam2_plugins.fiftyone_plugin.prompting import Prompting, check_prompt_field, class_names
from sam2_plugins.fiftyone_plugin.request import Progress, reason
from sam2_plugins.fiftyone_plugin.results import change

EVAL_KEY = "sam2_eval"

Key: TypeAlias = "int | str"
Tracks: TypeAlias = "dict[Key, dict[int, ObjectMask]]"


@dataclass(frozen=True)
class TrackScores:
    """One true object: its name, and J and F over the frames that were judged.

    Attributes
    ----------
    frames
        How many: those with the object's prompts are not, nor is a side of them to which it was
        not tracked.
    before
        Of these, frames before its first prompt.
    """

    key: Key
    J: float
    F: float
    frames: int
    before: int = 0


@dataclass(frozen=True)
class MovieScores:
    """One movie: means over its objects, or why it could not be judged.

    Attributes
    ----------
    unread
        A line for each label that could not be read.
    """

    name: str
    sample_id: str
    J: float = float("nan")
    F: float = float("nan")
    tracks: tuple[TrackScores, ...] = ()
    error: str = ""
    unread: tuple[str, ...] = ()

    @property
    def notices(self) -> tuple[str, ...]:
        """Lines for a person, each of which names the movie."""
        failed = [f"{self.name}: {self.error}"] if self.error else []
        return (*failed, *(f"{self.name}, {line}" for line in self.unread))


@dataclass(frozen=True)
class EvaluationReport:
    """All movies."""

    movies: tuple[MovieScores, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """A line for each movie that could not be judged, and each label that was left out."""
        return tuple(line for movie in self.movies for line in movie.notices)

    def __str__(self) -> str:
        judged = [movie for movie in self.movies if not movie.error]
        if not judged:
            return "Nothing could be judged"
        J, F = (fmean(values) for values in zip(*((m.J, m.F) for m in judged), strict=True))
        tracks = [track for movie in judged for track in movie.tracks]
        before = sum(track.before for track in tracks)
        after = sum(track.frames for track in tracks) - before
        return (
            f"J {J:.3f}, F {F:.3f}: {len(tracks)} objects in {len(judged)} movies, judged on "
            f"{after} frames after and {before} before their prompts"
        )


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
    missed one counts 0. On each sample: `<eval_key>_J` and `<eval_key>_F`; of clips, the mean.

    Parameters
    ----------
    view
        Labels and frames that it leaves out do not count.
    pred_field, gt_field
        Fields on the frames with masks. Objects are matched by index; where none is shared, by
        their overlap.
    absent
        What frames without the true object do to its J and F. "davis": nothing predicted counts 1,
        anything else 0; "ignore": they do not count, as for cells, of which a division is the end,
        or where only some frames were labelled.

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
        check_prompt_field(frame_schema(movies[0].view), name)
    masks = find_field(movies[0].fields.schema(), pred_field)
    check_writable(masks, pred_field)
    if pred_field == gt_field:
        raise FootageError("The masks and the truth are the same field. Choose two.")
    if not eval_key.isidentifier():
        raise FootageError(f"{eval_key!r} is no name of a field: use letters, digits and _.")
    iou, *means = (f"{eval_key}_{name}" for name in ("iou", "J", "F"))
    frames, samples = movies[0].fields.schema(), movies[0].samples.get_field_schema()
    check_values(frames, {iou: 0.5}, "The field")
    check_values(samples, dict.fromkeys(means, 0.5), "The field")
    attributes = dict.fromkeys((iou, *means), 0.5)
    check_values(label_schema(masks), attributes, f"In {pred_field!r} the attribute")
    return movies


def run(
    movies: Sequence[Footage],
    pred_field: str,
    gt_field: str,
    eval_key: str,
    absent: Absent = "davis",
) -> Events:
    """Judge movies one by one. One that fails does not stop the others."""
    clips: dict[str, list[MovieScores]] = defaultdict(list)
    for number, footage in enumerate(movies):
        try:
            scores = _judge(footage, pred_field, gt_field, eval_key, absent)
            clips[footage.sample_id].append(scores)
            for name in "JF":
                mean = fmean(getattr(one, name) for one in clips[footage.sample_id])
                footage.write_samples(f"{eval_key}_{name}", mean)
        except Exception as error:
            scores = MovieScores(footage.name, footage.sample_id, error=reason(error))
        yield Progress(footage.name, number, len(movies), 1, 1)
        yield scores


def match_tracks(pred: Tracks, truth: Tracks, frame_size: tuple[int, int]) -> dict[Key, Key]:
    """Match predictions with true objects: by name, or else by overlap, as the core does.

    Returns
    -------
    dict
        Key of the prediction to that of the truth.
    """
    keys = [*truth, *(key for key in pred if key not in truth)]
    numbers = {key: number for number, key in enumerate(keys, start=1)}
    ours, true = (label_images(_by_frame(t, numbers, truth), frame_size) for t in (pred, truth))
    names = ids_by_overlap(ours, true, {numbers[key]: min(masks) for key, masks in truth.items()})
    if names is None:
        return {key: key for key in pred.keys() & truth.keys()}
    return {keys[label - 1]: keys[obj - 1] for obj, label in names.items()}


def _judge(
    footage: Footage, pred_field: str, gt_field: str, eval_key: str, absent: Absent
) -> MovieScores:
    with footage.open() as frames:
        frame_size = frames.height, frames.width
    unread = [line for name in (gt_field, pred_field) for line in _nameless(footage, name)]
    truth = read_tracks(footage, gt_field, frame_size, unread)
    if not truth:
        raise FootageError(f"Its frames have no masks in {gt_field!r}.")
    pred = read_tracks(footage, pred_field, frame_size, unread)
    true_key = match_tracks(pred, truth, frame_size)
    found = {true_key[key]: masks for key, masks in pred.items() if key in true_key}
    shared = _shared(
        (frame, value_of(label, "index"))
        for frame, value in footage.read(pred_field, filtered=True)
        for label in labels_of(value)
    )
    prompted, tracked = _frames_of(footage, pred_field, true_key, shared)
    hidden = footage.hidden()
    judged = _frames_to_judge(
        truth, prompted, tracked, lambda frame: footage.shows(frame) and frame not in hidden
    )
    earlier = [n for n, _ in footage.read(f"{eval_key}_iou") if n not in hidden]
    tracks = _score(found, truth, judged, frame_size, absent)
    if not tracks:
        raise FootageError(
            f"No frame can be judged: those with masks in {gt_field!r} are prompted, or were not "
            "tracked. Label another frame."
        )
    by_key = {one.key: one for one in tracks}
    keys = partial(_key_of, shared=shared)
    told = {frame for frame, _ in footage.read(gt_field)}
    untold = {frame for one in judged.values() for frame in one.frames} - told
    if absent == "davis" and untold:
        unread.append(
            f"{len(untold)} of the frames that were judged have nothing in {gt_field!r}, and count "
            "as frames without objects. If nobody has labelled them, leave them out: "
            "absent=“ignore”."
        )

    def scores_of(label: Any, frame: int) -> tuple[float | None, TrackScores | None]:
        key = true_key.get(keys(label))
        if key is None:
            return None, None
        out = absent == "ignore" and frame not in truth[key]
        return None if out else _iou(found, truth, key, frame), by_key.get(key)

    _write(footage, pred_field, eval_key, scores_of)
    means: dict[int, float | None] = dict.fromkeys(earlier)
    for frame in sorted({frame for masks in truth.values() for frame in masks}):
        there = [key for key, masks in truth.items() if frame in masks]
        means[frame] = fmean(_iou(found, truth, key, frame) for key in there)
    footage.write(f"{eval_key}_iou", means)
    J, F = (fmean(values) for values in zip(*((t.J, t.F) for t in tracks), strict=True))
    return MovieScores(footage.name, footage.sample_id, J, F, tracks, unread=tuple(unread))


def _nameless(footage: Footage, name: str) -> Iterator[str]:
    """Tell of labels that do not say of which object they are: each is one of a single frame.

    Raises
    ------
    FootageError
        If they are all that there is.
    """
    labels = [
        (frame, label)
        for frame, value in footage.read(name, filtered=True)
        for label in labels_of(value)
        if "index" in label.field_names
    ]
    nameless = [
        frame
        for frame, label in labels
        if value_of(label, "index") is None and instance_of(label) is None
    ]
    if (count := len({*nameless})) > 1:
        told = (
            f"Labels in {name!r} have neither an index nor an instance, on {count} frames: nobody "
            "can tell which are of one object. Give the labels of each object an index."
        )
        if len(nameless) == len(labels):
            raise FootageError(told)
        yield told


@dataclass(frozen=True)
class _Judged:
    """Frames on which an object is judged, and of these, those before its first prompt."""

    frames: frozenset[int]
    before: frozenset[int]


def _frames_to_judge(
    truth: Tracks,
    prompted: Mapping[Key, set[int]],
    tracked: Mapping[Key, set[int]],
    is_shown: Callable[[int], bool],
) -> dict[Key, _Judged]:
    """Choose the frames that count: not the prompted ones, nor a side that was not tracked.

    Parameters
    ----------
    prompted
        Prompted frames of an object; where they are not known, its first true one is taken for it.
    tracked
        Frames to which an object was tracked, also in vain.
    is_shown
        Whether a frame is of the clip, and not left out by the view.
    """
    length = 1 + max(frame for masks in truth.values() for frame in masks)
    found = {}
    for key, masks in truth.items():
        prompts = prompted.get(key) or {min(masks)}
        first, last = min(prompts), max(prompts)
        reached = tracked.get(key) or {first}
        backward = min(reached) < first
        forward = max(reached) > last or not backward
        earliest, latest = 0 if backward else first, length - 1 if forward else last
        frames = frozenset(filter(is_shown, range(earliest, latest + 1))) - prompts
        found[key] = _Judged(frames, frozenset(frame for frame in frames if frame < first))
    return found


def _score(
    found: Tracks,
    truth: Tracks,
    judged: Mapping[Key, _Judged],
    frame_size: tuple[int, int],
    absent: Absent,
) -> tuple[TrackScores, ...]:
    """Score with the core's rules, which know objects as numbers from 1."""
    numbers = {key: number for number, key in enumerate(truth, start=1)}
    # One frame more at the beginning, for the core leaves out all up to a prompted one.
    pred, gt = (
        label_images([{}, *_by_frame(t, numbers, truth)], frame_size) for t in (found, truth)
    )
    alike: dict[frozenset[int], list[int]] = {}
    for key, one in judged.items():
        alike.setdefault(one.frames, []).append(numbers[key])
    scores: dict[int, ObjectScores] = {}
    for frames, objects in alike.items():
        shifted = {frame + 1 for frame in frames}
        starts = dict.fromkeys(objects, 0)
        some = score_stacks(
            pred, gt, objects=objects, prompt_frame=starts, absent=absent, frames=shifted
        )
        scores |= {one.id: one for one in some.objects}
    tracks = []
    for key, number in numbers.items():
        if (measured := scores.get(number)) is not None:
            before = judged[key].before
            counted = before & truth[key].keys() if absent == "ignore" else before
            tracks.append(TrackScores(key, measured.J, measured.F, measured.frames, len(counted)))
    return tuple(tracks)


def _by_frame(
    tracks: Tracks, numbers: Mapping[Key, int], truth: Tracks
) -> list[dict[int | str, ObjectMask]]:
    """Masks of each frame up to the last true one, by number."""
    length = 1 + max(frame for masks in truth.values() for frame in masks)
    return [
        {numbers[key]: masks[frame] for key, masks in tracks.items() if frame in masks}
        for frame in range(length)
    ]


def read_tracks(
    footage: Footage,
    name: str,
    frame_size: tuple[int, int],
    unread: list[str] | None = None,
) -> Tracks:
    """Masks by object and frame, of the labels that the view shows.

    Parameters
    ----------
    unread
        Gets a line for each label that has no mask, or one that cannot be read.

    Raises
    ------
    FootageError
        If there is such a label, and no list for it.
    """
    names = class_names(footage.dataset, name)
    prompting = Prompting()
    for frame, value in footage.read(name, filtered=True):
        for label in labels_of(value):
            prompting.add(frame, label, frame_size, None, field=name, names=names)
    problems = list(prompting.problems)
    tracks: Tracks = {}
    shared = _shared((one.frame, one.index) for one in prompting.prompt_labels)
    for one in prompting.prompt_labels:
        if one.cue is not None and one.cue.mask is None:
            problems.append(f"frame {one.frame + 1} in {name!r}: a label has no mask.")
        elif one.cue is not None and one.cue.mask is not None:
            key = _key(one.index, one.label, one.instance or one.id, shared)
            tracks.setdefault(key, {})[one.frame] = one.cue.mask
    if problems and unread is None:
        raise FootageError(" ".join(problems[:3]))
    if unread is not None:
        unread += problems
    return tracks


def _frames_of(
    footage: Footage, name: str, true_key: Mapping[Key, Key], shared: Collection[int]
) -> tuple[dict[Key, set[int]], dict[Key, set[int]]]:
    """Prompted frames of each object, and those to which it was tracked, also in vain."""
    prompted: dict[Key, set[int]] = {}
    tracked: dict[Key, set[int]] = {}
    for field in (name, f"{name}_lost"):
        for frame, value in footage.read(field, beyond=True):
            for label in labels_of(value):
                own = _key_of(label, shared)
                key = true_key.get(own, own)
                tracked.setdefault(key, set()).add(frame)
                if value_of(label, "keyframe"):
                    prompted.setdefault(key, set()).add(frame)
    return prompted, tracked


def _shared(places: Iterable[tuple[int, int | None]]) -> set[int]:
    """Indices that several objects have: of different classes, two of which are on one frame."""
    counts = Counter(places)
    return {index for (_, index), count in counts.items() if index is not None and count > 1}


def _key(index: int | None, label: str | None, name: str, shared: Collection[int]) -> Key:
    """Name an object: by its index, or else by class and index, or else by what is its own."""
    if index is None:
        return name
    return object_name(label, index) if index in shared else index


def _key_of(label: Any, shared: Collection[int]) -> Key:
    """Name an object as `read_tracks` does."""
    name = instance_of(label) or str(label.id)
    return _key(value_of(label, "index"), label.label, name, shared)


def _write(
    footage: Footage,
    name: str,
    eval_key: str,
    scores_of: Callable[[Any, int], tuple[float | None, TrackScores | None]],
) -> None:
    """Write the scores to the labels."""
    shown = {
        label.id: frame
        for frame, value in footage.read(name, filtered=True)
        for label in labels_of(value)
    }

    def add_scores(frame: int, label: Any) -> bool:
        if label.id not in shown:
            return False
        label[f"{eval_key}_iou"], track = scores_of(label, frame)
        for what in "JF":
            label[f"{eval_key}_{what}"] = None if track is None else getattr(track, what)
        return True

    names = (f"{eval_key}_{what}" for what in ("iou", "J", "F"))
    kind = find_field(footage.fields.schema(), name).document_type
    footage.fields.declare(name, kind, dict.fromkeys(names, 0.5))
    change(footage, [name], {*shown.values()}, add_scores)


def _iou(found: Tracks, truth: Tracks, key: Key, frame: int) -> float:
    """Return the IoU; 0 if only one of the two is on the frame."""
    mask, true = found.get(key, {}).get(frame), truth[key].get(frame)
    return 0.0 if mask is None or true is None else mask.iou_with(true)
