"""Evaluation of tracked objects against ground truth.

`evaluate_sequence` scores a model, with a simulated person to prompt it, by `metrics` and the
rules that each dataset carries; `ctc_scores` a whole result with its lineage.
"""

from sam2_plugins.core.datasets.dataset import label_images
from sam2_plugins.core.evaluation.corrections import ACTS
from sam2_plugins.core.evaluation.ctc_scores import CtcScores, ctc_scores
from sam2_plugins.core.evaluation.labelled_tracks import (
    derive_parents,
    read_result,
    read_truth,
)
from sam2_plugins.core.evaluation.prompting import (
    PROMPT_KINDS,
    PromptKind,
    innermost_pixel,
    next_click,
    prompt_from_mask,
)
from sam2_plugins.core.evaluation.protocols import Protocol
from sam2_plugins.core.evaluation.report import MeanReport, draw, mean_by_kind, write_csv
from sam2_plugins.core.evaluation.sequence import (
    Round,
    SequenceReport,
    evaluate_sequence,
)

LabelImages = label_images
"""Earlier name."""

__all__ = [
    "ACTS",
    "PROMPT_KINDS",
    "CtcScores",
    "MeanReport",
    "PromptKind",
    "Protocol",
    "Round",
    "SequenceReport",
    "ctc_scores",
    "derive_parents",
    "draw",
    "evaluate_sequence",
    "innermost_pixel",
    "label_images",
    "mean_by_kind",
    "next_click",
    "prompt_from_mask",
    "read_result",
    "read_truth",
    "write_csv",
]
