"""J of nano through the napari plugin, and through the core alone: they should be equal.

    xvfb-run -a python benchmarks/napari_quality.py DATA [NAME …]

DATA is a folder of datasets (frames, masks, meta.json). One click per object, at its deepest pixel
on the prompted frame, is put into the plugin's layer; the masks are read from its Labels layer's
store, and scored by `core.metrics`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from napari.components import ViewerModel

from sam2_plugins.core.checkpoints import cached_model
from sam2_plugins.core.datasets import Dataset, find_datasets
from sam2_plugins.core.evaluation import evaluate_sequence, innermost_pixel
from sam2_plugins.core.evaluation.metrics import evaluate
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import compose_label_image
from sam2_plugins.napari_plugin.controllers.controller import Controller
from sam2_plugins.napari_plugin.controllers.jobs import AtOnce


def through_the_plugin(dataset: Dataset) -> float:
    """Mean J of the masks in the Labels layer."""
    settings = dataset.settings
    start, truth = settings["prompt_frame"], dataset.truth
    with open_frames(dataset.frames) as frames:
        movie = np.stack([frames[i].image for i in range(len(truth))])
    viewer: Any = ViewerModel()
    image = viewer.add_image(movie, rgb=True)
    controller = Controller(viewer, AtOnce(), lambda: cached_model("nano", device="cpu"))
    controller.use([image])
    viewer.dims.set_point(0, start)
    there = dataset.masks(start)
    labels = {}
    for obj in settings["objects"]:
        if obj in there:
            labels[obj] = controller.new_object()
            x, y = innermost_pixel(there[obj])
            assert controller.work is not None
            controller.work.workspace.points.add([start, y, x])
    controller.runs.start("forward", None, len(truth) - 1)
    store = controller.work.workspace.store  # type: ignore[union-attr]
    found = []
    for frame in range(len(truth)):
        masks = store.on_frame((frame,))
        mine = {obj: masks[label] for obj, label in labels.items() if label in masks}
        found.append(compose_label_image(mine, movie.shape[1:3]))
    return evaluate(found, truth, **settings).J


def main(data: str, *names: str) -> None:
    """Print a line for each dataset."""
    torch.set_num_threads(1)
    for dataset in find_datasets(Path(data)):
        if not names or dataset.name in names or dataset.folder.name in names:
            ours = through_the_plugin(dataset)
            core = evaluate_sequence(cached_model("nano", device="cpu"), dataset, "click").scores.J
            print(f"{dataset.name}: J {ours:.4f} in napari, {core:.4f} in the core", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
