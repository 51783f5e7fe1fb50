"""Whole results judged as the Cell Tracking Challenge does, by the library `py-ctcmetrics`.

DET and TRA: Matula et al., PLOS ONE 2015. SEG: Maška et al., Bioinformatics 2014. The F1 of
divisions is their branching correctness: Ulman et al., Nature Methods 2017.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_plugins.core.datasets import Dataset
from sam2_plugins.core.datasets.ctc import Track
from sam2_plugins.core.datasets.dataset import LabelledFrames
from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.evaluation.corrections import ACTS, Act, Correction, corrections
from sam2_plugins.core.evaluation.labelled_tracks import (
    LabelledTracks,
    as_label_images,
    read_result,
    read_truth,
    truth_of,
    with_derived_lineage,
)
from sam2_plugins.core.evaluation.matching import TrackMatch, match_tracks, objects_of

TOLERANCE = 1
"""Frames by which a division may come too early or too late."""


@dataclass(frozen=True)
class CtcScores:
    """Scores of a whole result; nan where the truth has nothing to score.

    Attributes
    ----------
    DET
        Detection: what it takes to mend the objects of all frames, 1 if nothing.
    SEG
        Mean IoU of true objects with the one that covers more than half of them; 0 if none does.
    TRA
        Tracking: what it takes to mend objects and their links, 1 if nothing.
    division_f1
        F1 of the divisions: mother and both daughters, `TOLERANCE` frames apart at most.
    true_divisions, divisions
        Divisions of the truth, and of the result.
    true_objects, objects
        Objects of the truth, and of the result.
    frames
        Frames that were scored.
    corrections
        What a person would still have to do, act by act: see `corrections`.
    remarks
        What is to be known of the truth or the result, a sentence each.
    """

    DET: float
    SEG: float
    TRA: float
    division_f1: float
    true_divisions: int
    divisions: int
    true_objects: int
    objects: int
    frames: int
    corrections: tuple[Correction, ...]
    remarks: tuple[str, ...] = ()

    @property
    def acts(self) -> dict[Act, int]:
        """Number of corrections of each kind."""
        found = Counter(one.act for one in self.corrections)
        return {act: found[act] for act in ACTS}


def ctc_scores(
    result: str | Path | LabelledFrames | LabelledTracks,
    truth: str | Path | Dataset | LabelledFrames | LabelledTracks,
    parents: Mapping[int, int] | None = None,
) -> CtcScores:
    """Score a whole result: all objects, with their divisions. Ids need not be those of the truth.

    Parameters
    ----------
    result
        A folder or file, as `read_result` takes it; or per frame a label image or masks by label.
    truth
        A folder or file, as `read_truth` takes it; a dataset; or frames, as above.
    parents
        Daughter to mother, of a result given as frames.

    Raises
    ------
    FrameSourceError
        If they cannot be read, or are not of the same movie.
    Sam2PluginsError
        If `py-ctcmetrics` is not installed.
    """
    ours = _opened(result, parents or {}, of_truth=False)
    true = _opened(truth, {}, of_truth=True)
    match = match_tracks(ours, true)
    measure = _Library(match)
    missed, false = measure.wrong_divisions()
    det, tra = measure.det_and_tra()
    return CtcScores(
        DET=det,
        SEG=measure.seg(),
        TRA=tra,
        division_f1=measure.division_f1(),
        true_divisions=len(_mothers(match.truth)),
        divisions=len(_mothers(match.result)),
        true_objects=len(set(objects_of(match.truth).values())),
        objects=len(set(objects_of(match.result).values())),
        frames=len(match.frames),
        corrections=tuple(corrections(match, missed, false)),
        remarks=(*true.remarks, *ours.remarks),
    )


def _opened(source: Any, parents: Mapping[int, int], *, of_truth: bool) -> LabelledTracks:
    if isinstance(source, LabelledTracks):
        return source
    if isinstance(source, str | Path):
        return read_truth(source) if of_truth else read_result(source)
    if isinstance(source, Dataset):
        return truth_of(source)
    frames = as_label_images(source)
    if of_truth:
        return with_derived_lineage(LabelledTracks("the truth", frames))
    return LabelledTracks("the result", frames, {int(d): int(m) for d, m in parents.items()})


class _Library:
    """A match in the terms of `py-ctcmetrics`."""

    def __init__(self, match: TrackMatch) -> None:
        try:
            from ctc_metrics import metrics
            from ctc_metrics.utils import representations
        except ImportError as error:
            raise Sam2PluginsError(
                "The scores of the Cell Tracking Challenge need py-ctcmetrics: pip install "
                '"sam2-plugins[ctc]".'
            ) from error
        self._metrics, self._graphs = metrics, representations
        self._match = match
        self._true, self._ours = _table(match.truth), _table(match.result)
        self._mapped = (
            [list(frame.standing) for frame in match.frames],
            [list(frame.standing.values()) for frame in match.frames],
        )
        self._divisions = partial(self._metrics.raw_division_metrics, i=TOLERANCE)

    def det_and_tra(self) -> tuple[float, float]:
        if not self._match.truth:
            return math.nan, math.nan
        if not self._match.result:
            return 0.0, 0.0
        linked = len(self._match.frames) > 1  # a single image has no links
        operations = self._graphs.count_acyclic_graph_correction_operations(
            self._true if linked else None,
            self._ours if linked else None,
            [list(frame.truth) for frame in self._match.frames],
            [list(frame.result) for frame in self._match.frames],
            *self._mapped,
        )
        return float(self._metrics.det(**operations)), float(self._metrics.tra(**operations)[0])

    def seg(self) -> float:
        outlined = [list(frame.truth) for frame in self._match.outlines]
        if not any(outlined):
            return math.nan
        ious = [list(frame.ious.values()) for frame in self._match.outlines]
        return float(self._metrics.seg(outlined, ious))

    def division_f1(self) -> float:
        f1 = self._metrics.bc(*self._divisions(self._ours, self._true, *self._mapped))
        return math.nan if f1 is None else float(f1)

    def wrong_divisions(self) -> tuple[list[int], list[int]]:
        """Mothers of the truth whose division is missed, and of the result whose is none."""
        missed = [
            mother
            for mother in _mothers(self._match.truth)
            if not self._divisions(self._ours, _only(self._true, mother), *self._mapped)[0]
        ]
        false = [
            mother
            for mother in _mothers(self._match.result)
            if not self._divisions(_only(self._ours, mother), self._true, *self._mapped)[0]
        ]
        return missed, false


def _table(tracks: Mapping[int, Track]) -> NDArray[np.int64]:
    """[tracks, 4]: label, begin, end, parent."""
    rows = [(label, *track) for label, track in tracks.items()]
    return np.array(rows, np.int64).reshape(-1, 4)


def _only(table: NDArray[np.int64], mother: int) -> NDArray[np.int64]:
    """Return a table with the division of one mother."""
    alone = table.copy()
    alone[alone[:, 3] != mother, 3] = 0
    return alone


def _mothers(tracks: Mapping[int, Track]) -> list[int]:
    """Tracks that divide: they have two children or more."""
    children = Counter(track.parent for track in tracks.values() if track.parent)
    return [label for label, number in children.items() if number > 1]
