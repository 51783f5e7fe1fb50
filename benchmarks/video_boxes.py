"""How well real videos are tracked that have no outlines: by boxes that were drawn by eye.

    python benchmarks/video_boxes.py FOLDER [--model nano] [--frames 30] [--without-colours]
    python benchmarks/video_boxes.py FOLDER --clicks

FOLDER has the videos that `video_boxes.json` names, of which any may be missing. Each object is
prompted by its box on the first frame; printed is the IoU of the box of its mask with the one that
was drawn, on later frames. With `--clicks` each frame with a box is prompted alone, by a click: at
the innermost pixel of what the model gives for the box. These videos may be used to choose among
models and rules: none of them is scored elsewhere.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean

import torch

from sam2_plugins.core import Prompt, VideoTracker, load_model, open_frames
from sam2_plugins.core.evaluation import prompt_from_mask
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.model import Sam2Model

BOXES = Path(__file__).with_suffix(".json")
DRAWN_WIDTH = 853
"""Of the frames on which the boxes were drawn."""

Box = tuple[float, float, float, float]


def ious(model: Sam2Model, video: Path, drawn: dict[int, Box], last: int) -> list[float]:
    """IoU of an object's boxes with those drawn, on the frames after the first up to `last`."""
    first = min(drawn)
    found = []
    with open_frames(video) as frames:
        scale = frames.width / DRAWN_WIDTH
        boxes = {
            frame: tuple(scale * side for side in box)
            for frame, box in drawn.items()
            if frame <= first + last
        }
        tracker = VideoTracker(model, frames)
        tracker.add(Prompt.of(first, 1, box=boxes[first]))
        for result in tracker.propagate(start=first, stop=max(boxes) + 1):
            if result.frame in boxes and result.frame != first:
                found.append(iou(result.masks[1], boxes[result.frame]))
    return found


def click_ious(model: Sam2Model, video: Path, drawn: dict[int, Box]) -> list[float]:
    """IoU of the boxes drawn with those of the masks of a click each, on the same frames."""
    found = []
    with open_frames(video) as frames:
        scale = frames.width / DRAWN_WIDTH
        tracker = VideoTracker(model, frames)
        for frame, sides in drawn.items():
            box = tuple(scale * side for side in sides)
            boxed = tracker.add(Prompt.of(frame, 1, box=box))
            tracker.reset()
            clicked = tracker.add(prompt_from_mask("click", frame, 1, boxed))
            tracker.reset()
            found.append(iou(clicked, box))
    return found


def iou(mask: ObjectMask, box: tuple[float, ...]) -> float:
    """IoU of a mask's box with another; 0 if there is no mask."""
    if mask.box is None:
        return 0.0
    width, height = (min(mask.box[i + 2], box[i + 2]) - max(mask.box[i], box[i]) for i in (0, 1))
    common = max(0.0, width) * max(0.0, height)
    areas = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (mask.box, box))
    return common / (areas - common)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--frames", type=int, default=30, help="after the first one")
    parser.add_argument("--without-colours", action="store_true")
    parser.add_argument("--clicks", action="store_true", help="on each frame that has a box")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(arguments.model, "cpu")
    if arguments.without_colours:
        type(model.variant.trunk).sees_colours = False
    means = []
    for entry in json.loads(BOXES.read_text(encoding="utf-8"))["objects"]:
        video = arguments.folder / entry["file"]
        if not video.exists():
            print(f"{entry['file']} is not there")
            continue
        drawn = {int(frame): tuple(box) for frame, box in entry["boxes"].items()}
        if arguments.clicks:
            found = click_ious(model, video, drawn)
        else:
            found = ious(model, video, drawn, arguments.frames)
        means.append(fmean(found))
        told = " ".join(f"{value:.2f}" for value in found)
        print(f"{video.stem:24}{entry['object']:12}{told}", flush=True)
    print(f"mean of {len(means)} objects: {fmean(means):.3f}")


if __name__ == "__main__":
    main()
