"""Make the pictures of the documentation again: the demo on its synthetic movie.

python docs/make_pictures.py [MODEL]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image

from sam2_plugins.core.checkpoints import load_model
from sam2_plugins.demo.movie import open_synthetic
from sam2_plugins.demo.run import open_demo_writers, prompt_cells

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


if __name__ == "__main__":
    main(*sys.argv[1:])
