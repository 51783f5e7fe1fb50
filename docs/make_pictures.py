"""Make the pictures of the documentation again: the demo, and an evaluation, on synthetic movies.

python docs/make_pictures.py [MODEL]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_plugins.core.checkpoints import load_model
from sam2_plugins.core.datasets import load_dataset, own
from sam2_plugins.core.evaluation import Protocol, draw, evaluate_sequence
from sam2_plugins.demo.movie import open_synthetic
from sam2_plugins.demo.run import open_demo_writers, prompt_cells
from sam2_plugins.training.synthetic import make_clip

FOLDER = Path(__file__).parent / "pictures"
WIDTH = 1000


def main(model: str = "nano") -> None:
    """Run the demo, and keep its two pictures, small enough for a repository."""
    movie = open_synthetic()
    tracker = prompt_cells(load_model(model), movie.frames)
    with tempfile.TemporaryDirectory() as out:
        with open_demo_writers(Path(out), tracker, f"{movie.title}, tracked by nano") as writers:
            for result in tracker.propagate():
                writers.write(result.frame, result.time, result.masks)
        for name in ("contact_sheet", "cells"):
            with Image.open(Path(out) / f"{name}.png") as picture:
                height = round(picture.height * WIDTH / picture.width)
                small = picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
                small.save(FOLDER / f"{name}.jpg", quality=85, optimize=True)


def evaluation(model: str = "nano") -> None:
    """Draw J&F against prompted frames, of three synthetic movies with offline corrections."""
    network = load_model(model)
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        for seed, kind in enumerate(("fluorescence", "phase", "dic")):
            clip = make_clip(np.random.default_rng(seed), 160, 16, kind)
            areas = np.bincount(clip.labels[0].ravel())[1:]
            largest = [int(label) + 1 for label in areas.argsort()[::-1][:3] if areas[label]]
            meta = {"name": kind, "kind": "microscopy", "eval_objects_frame0": largest}
            own.write(Path(folder) / kind, clip.frames, clip.labels, meta)
            dataset = load_dataset(Path(folder) / kind)
            reports.append(evaluate_sequence(network, dataset, Protocol("offline", frames=5)))
    draw(FOLDER / "evaluation-curve.png", reports)


if __name__ == "__main__":
    main(*sys.argv[1:])
    evaluation(*sys.argv[1:])
