"""How well a model does on sequences with ground truth, with a simulated person to prompt it.

Scores are those of `core.metrics`, with the rules that each dataset carries.
"""

from __future__ import annotations

from sam2_plugins.core.evaluation.label_images import LabelImages
from sam2_plugins.core.evaluation.prompting import (
    PROMPT_KINDS,
    PromptKind,
    innermost_pixel,
    next_click,
    prompt_from_mask,
)
from sam2_plugins.core.evaluation.protocols import PROTOCOLS, Protocol
from sam2_plugins.core.evaluation.report import MeanReport, draw, mean_by_kind, write_csv
from sam2_plugins.core.evaluation.sequence import (
    ENOUGH,
    ObjectReport,
    Round,
    SequenceReport,
    evaluate_sequence,
)

__all__ = [
    "ENOUGH",
    "PROMPT_KINDS",
    "PROTOCOLS",
    "LabelImages",
    "MeanReport",
    "ObjectReport",
    "PromptKind",
    "Protocol",
    "Round",
    "SequenceReport",
    "draw",
    "evaluate_sequence",
    "innermost_pixel",
    "mean_by_kind",
    "next_click",
    "prompt_from_mask",
    "write_csv",
]
