"""Ours beside the official SAM 2, in one process.

    python benchmarks/side_by_side.py --official FOLDER --size 512 --objects 1,8 --threads 1

On a processor they take turns, frame by frame, so that whatever else the machine does meets both.
On a graphics card, which goes on with the next frame while the host makes masks, each tracks by
itself, with and without graphs, and the most memory of the device that its tensors take is told.

FOLDER holds the official package `sam2` (facebookresearch/sam2) and what it needs (hydra-core,
iopath, tqdm). Without it, ours is measured alone. Both have the same seeded weights, frames from
memory, and a mask prompt for each object. Masks of random weights are noise: ours is given compact
ones after its decoder, or their clean-up would be timed.

`--cells 100` follows so many squares of 40 px with nano, each in a window, through frames of 2048 ×
2048 that stand still, and then that drift, so that windows move.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from sam2_plugins.core.checkpoints import load_model
from sam2_plugins.core.model import Decoded, Sam2Model, build_model
from sam2_plugins.core.model.fast import without_graphs
from sam2_plugins.core.tracking.tracker import VideoTracker
from sam2_plugins.core.variants import get_variant
from tests.reference.weights import seeded_state

REFERENCE = Path(__file__).parents[1] / "tests" / "reference"
SHORT = {"tiny": "t", "small": "s", "base-plus": "b+", "large": "l"}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Box = tuple[int, int, int, int]


def main() -> None:
    """Measure, and print a line for each number of objects."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--official", help="folder with the official package")
    options.add_argument("--model", default="tiny", choices=SHORT)
    options.add_argument("--size", type=int, default=1024, help="side of the model's input")
    options.add_argument("--objects", default="1,8")
    options.add_argument("--warm-up", type=int, default=24, help="frames before those that count")
    options.add_argument("--frames", type=int, default=10)
    options.add_argument("--threads", type=int)
    options.add_argument("--cells", type=int, default=0, help="with nano, in windows")
    options.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = options.parse_args()
    if given.threads:
        torch.set_num_threads(given.threads)
    if given.official:
        sys.path.insert(0, given.official)
    device = torch.device(given.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "processor"
    print(f"{given.model}, {given.size} px, {name}, torch {torch.__version__}")
    measure = apart if device.type == "cuda" else in_turns
    length = given.warm_up + given.frames + 2
    frames = movie(length)
    for count in map(int, given.objects.split(",")):
        boxes = grid_of_boxes(count, *frames.shape[1:3])
        these = (given.model, given.size, frames, boxes, device)
        runs: dict[str, Iterator[Any]] = {"ours": ours(*these)}
        if device.type == "cuda":
            runs["ours without graphs"] = plainly(ours(*these))
        if given.official:
            runs["official"] = official(*these)
        show(f"objects {count:3d}", measure(runs, given.warm_up, given.frames, device))
    if given.cells:
        drifting = movie(length, 2048, 2048)
        standing = np.repeat(drifting[:1], length, axis=0)
        boxes = grid_of_boxes(given.cells, 2048, 2048, side=40)
        runs = {
            "standing": cells(standing, boxes, device),
            "drifting": cells(drifting, boxes, device),
        }
        show(f"cells {given.cells}", measure(runs, given.warm_up, given.frames, device))


def show(what: str, spent: dict[str, tuple[float, float]]) -> None:
    """Print a line for each."""
    base = spent.get("official")
    for who, (seconds, mebibytes) in spent.items():
        ratio = f"  official / this {base[0] / seconds:.2f}" if base else ""
        memory = f"  {mebibytes:6.0f} MiB" if mebibytes else ""
        print(f"{what}  {who:20s} {1e3 * seconds:9.1f} ms a frame{memory}{ratio}", flush=True)


def apart(
    runs: dict[str, Iterator[Any]], warm_up: int, count: int, device: torch.device
) -> dict[str, tuple[float, float]]:
    """Mean seconds per frame of each by itself, and most MiB of the device that it took."""
    spent = {}
    for who in list(runs):
        run = runs.pop(who)
        before = torch.cuda.memory_allocated(device)
        for _ in range(warm_up):
            next(run)
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        began = time.perf_counter()
        for _ in range(count):
            next(run)
        torch.cuda.synchronize(device)
        seconds = (time.perf_counter() - began) / count
        spent[who] = seconds, (torch.cuda.max_memory_allocated(device) - before) / 2**20
        del run
        gc.collect()
        torch.cuda.empty_cache()
    return spent


def in_turns(
    runs: dict[str, Iterator[Any]], warm_up: int, count: int, _: torch.device
) -> dict[str, tuple[float, float]]:
    """Median seconds of the processor per frame of each; no memory is told."""
    spent: dict[str, list[float]] = {who: [] for who in runs}
    for frame in range(warm_up + count):
        for who, run in runs.items():
            began = time.process_time()
            next(run)
            if frame >= warm_up:
                spent[who].append(time.process_time() - began)
    return {who: (float(np.median(seconds)), 0.0) for who, seconds in spent.items()}


def movie(length: int, height: int = 720, width: int = 1280) -> NDArray[np.uint8]:
    """Coarse noise that moves."""
    shape = (height // 8, width // 8 + 40, 3)
    noise = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    noise = noise.repeat(8, 0).repeat(8, 1)
    return np.stack([noise[:, 2 * t : 2 * t + width] for t in range(length)])


def grid_of_boxes(count: int, height: int, width: int, side: int = 60) -> list[Box]:
    """Boxes in rows over the frame."""
    columns = int(np.ceil(np.sqrt(count * width / height)))
    rows = int(np.ceil(count / columns))
    half = min(side, width // columns // 2, height // rows // 2) // 2
    centres = [
        (int((i % columns + 0.5) * width / columns), int((i // columns + 0.5) * height / rows))
        for i in range(count)
    ]
    return [(x - half, y - half, x + half, y + half) for x, y in centres]


def mask_of(box: Box, height: int, width: int) -> NDArray[np.bool_]:
    """Fill a box."""
    mask = np.zeros((height, width), bool)
    mask[box[1] : box[3], box[0] : box[2]] = True
    return mask


def shapes_of(model: str) -> dict[str, list[int]]:
    """Names and shapes of a published model's tensors."""
    config = get_variant(f"sam2.1-{model}").config
    shapes: dict[str, list[int]] = json.loads((REFERENCE / f"{config}.json").read_text())
    return shapes


def ours(
    name: str, size: int, frames: NDArray[np.uint8], boxes: list[Box], device: torch.device
) -> Iterator[Any]:
    """Track as users do."""
    model = build_model(get_variant(f"sam2.1-{name}"), size).eval()
    model.load_state_dict(seeded_state(shapes_of(name), 0))
    model.to(device)
    give_discs(model, boxes, *frames.shape[1:3])
    yield from tracked(VideoTracker(model, frames, window=None), boxes)


def cells(frames: NDArray[np.uint8], boxes: list[Box], device: torch.device) -> Iterator[Any]:
    """Track squares with nano, each through a window."""
    yield from tracked(VideoTracker(load_model("nano", device), frames), boxes)


def tracked(tracker: VideoTracker, boxes: list[Box]) -> Iterator[Any]:
    """Track what fills boxes of the first frame."""
    for index, box in enumerate(boxes):
        tracker.add_prompt(0, index + 1, mask=mask_of(box, *tracker.frame_size))
    yield from tracker.propagate()


def plainly(run: Iterator[Any]) -> Iterator[Any]:
    """Go on without graphs."""
    while True:
        with without_graphs():
            result = next(run)
        yield result


def give_discs(model: Sam2Model, boxes: list[Box], height: int, width: int) -> None:
    """Decode as ever, but let a disc in each object's box come out."""
    side = model.mask_size
    y, x = torch.meshgrid(torch.arange(side) + 0.5, torch.arange(side) + 0.5, indexing="ij")
    logits = []
    for x0, y0, x1, y1 in boxes:
        across, down = (2 * x * width / side - x0 - x1) / (x1 - x0), y * height / side
        down = (2 * down - y0 - y1) / (y1 - y0)
        logits.append((10 * (1 - across**2 - down**2)).clamp(-15, 15))
    discs = torch.stack(logits)[:, None].to(model.device)
    decode = model.decode

    def decode_discs(*args: Any, **kwargs: Any) -> Decoded:
        decoded = decode(*args, **kwargs)
        count = len(decoded.mask)
        if count > len(discs):
            return decoded
        here = torch.full_like(decoded.object_score, 10.0)
        mask = discs[:count].to(decoded.mask.dtype)
        return dataclasses.replace(decoded, mask=mask, object_score=here)

    model.decode = decode_discs  # type: ignore[method-assign]


def official(
    name: str, size: int, frames: NDArray[np.uint8], boxes: list[Box], device: torch.device
) -> Iterator[Any]:
    """Track with the official video predictor, in bfloat16 on a card."""
    import sam2.sam2_video_predictor as module  # type: ignore[import-not-found]
    from sam2.build_sam import build_sam2_video_predictor  # type: ignore[import-not-found]

    grid = size // 16
    sizes = [
        f"++model.memory_attention.layer.{kind}_attention.feat_sizes=[{grid},{grid}]"
        for kind in ("self", "cross")
    ]
    predictor = build_sam2_video_predictor(
        f"configs/sam2.1/sam2.1_hiera_{SHORT[name]}.yaml",
        None,
        device=str(device),
        hydra_overrides_extra=[f"++model.image_size={size}", *sizes],
    )
    predictor.fill_hole_area = 0  # on a processor it does not fill them either
    predictor.load_state_dict(seeded_state(shapes_of(name), 0))
    mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (MEAN, STD))
    height, width = frames.shape[1:3]

    def load_video_frames(**_: Any) -> tuple[torch.Tensor, int, int]:
        images = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2)
        each = [
            F.interpolate(i[None].float() / 255, (size, size), mode="bilinear", antialias=True)[0]
            for i in images
        ]
        return torch.stack([(i - mean) / std for i in each]), height, width

    module.load_video_frames = load_video_frames
    half = torch.autocast(device.type, torch.bfloat16) if device.type == "cuda" else nullcontext()
    with torch.inference_mode(), half:
        state = predictor.init_state(video_path="")
        for index, box in enumerate(boxes):
            predictor.add_new_mask(state, 0, index + 1, mask_of(box, height, width))
        run = predictor.propagate_in_video(state)
    while True:
        with torch.inference_mode(), half:
            frame, ids, masks = next(run)
            read = (masks > 0).cpu().numpy()
        yield frame, ids, read


if __name__ == "__main__":
    main()
