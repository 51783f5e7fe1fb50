"""Score a model on synthetic time-lapses that no training run has seen.

`python benchmarks/nano_held_out.py nano [other.safetensors …]` prints the mean J of each kind of
clip and each kind of prompt. Checkpoints of `nano` are chosen by the last line: the mean of all.
"""

from __future__ import annotations

import sys
from statistics import fmean

import numpy as np
import torch

from sam2_plugins.core import VideoTracker, load_model, open_frames
from sam2_plugins.core.evaluation import PROMPT_KINDS, PromptKind, prompt_from_mask
from sam2_plugins.core.masks import split_label_image
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.training.synthetic import KINDS, MASK_ONLY, Clip, make_clip

SEED = 777_000  # training seeds its clips with 16 bits
CLIPS, FRAMES, SIZE, OBJECTS, LEAST_AREA = 3, 8, (360, 480), 3, 60


def held_out_clips(kind: str) -> list[Clip]:
    """Make the same clips every time."""
    number = KINDS.index(kind)
    return [
        make_clip(np.random.default_rng((SEED, number, i)), SIZE, FRAMES, kind)
        for i in range(CLIPS)
    ]


def clip_score(model: Sam2Model, clip: Clip, prompt: PromptKind) -> float:
    """Mean J of up to three objects, on the frames after the prompted one that show them."""
    there = split_label_image(clip.labels[0])
    objects = {obj: mask for obj, mask in there.items() if mask.area >= LEAST_AREA}
    chosen = sorted(objects, key=lambda obj: (obj * 7919) % 101)[:OBJECTS]
    values: list[float] = []
    with open_frames(clip.frames, axes="TYXC") as frames:
        tracker = VideoTracker(model, frames)
        for obj in chosen:
            tracker.add(prompt_from_mask(prompt, 0, obj, objects[obj]))
        for result in tracker.propagate():
            truth = split_label_image(clip.labels[result.frame])
            seen = [obj for obj in chosen if obj in truth and result.frame > 0]
            values += [result.masks[obj].iou_with(truth[obj]) for obj in seen]
    return fmean(values) if values else float("nan")


def main(names: list[str]) -> None:
    torch.set_num_threads(1)
    for name in names:
        model = load_model(name, "cpu")
        total: list[float] = []
        print(f"{name}\n{'kind':14}" + "".join(f"{prompt:>8}" for prompt in PROMPT_KINDS))
        for kind in (kind for kind in KINDS if kind not in MASK_ONLY):
            clips = held_out_clips(kind)
            row = [
                float(np.nanmean([clip_score(model, clip, prompt) for clip in clips]))
                for prompt in PROMPT_KINDS
            ]
            total += row
            print(f"{kind:14}" + "".join(f"{value:8.3f}" for value in row), flush=True)
        print(f"mean of all   {fmean(total):8.3f}")


if __name__ == "__main__":
    main(sys.argv[1:] or ["nano"])
