"""What the object finder finds on pictures that it was not taught on, by how tops are told apart.

    python benchmarks/object_finder.py [FINDER.safetensors]

Synthetic micrographs of another seed, and the scenes of `validation_scenes`, of another generator.
`PROMINENCE`, `SMALLEST` and `LOWEST` of `core/tracking/proposals` were chosen on them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file

from benchmarks.validation_scenes import scenes
from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.evaluation import ctc_scores
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import ObjectFinder
from sam2_plugins.core.tracking.proposals import ObjectProposer, landscape
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.training.synthetic import make_clip
from sam2_plugins.training.synthetic.microscopy import SPECIMENS

PROMINENCES = (0.1, 0.15, 0.2, 0.25)
SEED, EACH, SIDE, FRAMES = 99, 3, 400, 4


def pictures() -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.int64]]]:
    """Kind, picture [H, W, 3] and labels [H, W]."""
    rng = np.random.default_rng(SEED)
    for kind in SPECIMENS:
        for _ in range(EACH):
            clip = make_clip(rng, SIDE, FRAMES, kind)
            yield "synthetic", clip.frames[-1], clip.labels[-1].astype(int)
    for scene in scenes():
        if scene.kind == "microscopy":
            yield "validation", scene.frames[-1], scene.labels[-1].astype(int)


def scores(masks: list[ObjectMask], truth: NDArray[np.int64]) -> tuple[float, float]:
    """DET and SEG of one frame."""
    found = ctc_scores([dict(enumerate(masks, 1))], [truth])
    return found.DET, found.SEG


def main() -> None:
    """Print a table."""
    model = cached_model("nano", device="cpu")
    given = ObjectFinder(model.variant).eval()
    if len(sys.argv) > 1:
        given.load_state_dict(load_file(sys.argv[1]))
    print("prominence  pictures      DET    SEG")
    for prominence in PROMINENCES:
        rows: dict[str, list[tuple[float, float]]] = {}
        for kind, picture, truth in pictures():
            tracker = VideoTracker(model, picture[None])
            propose = tracker.proposer()
            if len(sys.argv) > 1:
                propose = ObjectProposer(given, tracker._operations, tracker._planner)
            with patch.object(landscape, "PROMINENCE", prominence):
                rows.setdefault(kind, []).append(scores(list(propose(0)), truth))
        for kind, values in rows.items():
            det, seg = np.mean(values, 0)
            print(f"{prominence:<11} {kind:12} {det:.3f}  {seg:.3f}")


if __name__ == "__main__":
    main()
