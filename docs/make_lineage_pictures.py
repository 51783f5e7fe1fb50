"""Draw the lineage tree of a result: births, divisions, gaps and ends, by frame.

    python docs/make_lineage_pictures.py RESULTS PICTURE [TITLE]

RESULTS is a results folder of the Cell Tracking Challenge, or one of `track` that holds one.
Without arguments the pictures of docs/lineage.md are made: three synthetic movies, every object
tracked.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core.datasets.ctc import RESULT_TABLE, Track, read_table
from sam2_plugins.core.export import open_writers
from sam2_plugins.core.export.overlay import colour_of, overlay
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.lineage import AllObjects
from sam2_plugins.core.lineage.events import summary_of
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.training.synthetic import make_clip
from sam2_plugins.training.synthetic.sample import sample_timelapse

STORIES: Mapping[str, Callable[[], NDArray[Any]]] = {
    "fluorescence": lambda: sample_timelapse(seed=1, frames=FRAMES, size=SIDE)[0],
    "phase": lambda: make_clip(np.random.default_rng(2), SIDE, FRAMES, "microcolony").frames,
    "dic": lambda: make_clip(np.random.default_rng(7), SIDE, FRAMES, "dic").frames,
}
"""Synthetic movies."""

PICTURES = Path(__file__).parent / "pictures"
SIDE, FRAMES, SHOWN = 256, 50, (0, 16, 33, 49)

ROW = 0.2
"""Inches between two branches."""


def draw_tree(results: Path, picture: Path, title: str | None = None) -> None:
    """Draw the tree: a line per track in the colour of its masks, time from left to right.

    A ring is a birth after the first frame, a fork a division, a dotted line a gap, a cross an end
    before the last frame. The numbers are the labels of the folder's images.
    """
    folder = results / "ctc" if (results / "ctc").is_dir() else results
    tracks = read_table(folder / RESULT_TABLE)
    rows = _rows(tracks)
    last = max((track.end for track in tracks.values()), default=0)
    lowest = max(rows.values(), default=0)
    figure = Figure((9, 1 + ROW * (lowest + 1)), layout="constrained")
    axes = figure.add_subplot()
    mothers = {track.parent for track in tracks.values()}
    for label, track in tracks.items():
        row, colour = rows[label], [part / 255 for part in colour_of(label)]
        axes.plot([track.begin, track.end], [row, row], color=colour, linewidth=3)
        axes.text(track.begin + 0.15, row - 0.1, str(label), fontsize=6, va="bottom")
        mark = {"color": colour, "markersize": 5, "markeredgewidth": 1.5}
        if track.parent in tracks:
            begun, before = tracks[track.parent].end, rows[track.parent]
            style = ":" if before == row else "-"
            axes.plot([begun, begun, track.begin], [before, row, row], style, color="0.5", zorder=0)
        elif track.begin:
            axes.plot(track.begin, row, "o", markerfacecolor="white", **mark)
        if track.end < last and label not in mothers:
            axes.plot(track.end, row, "x", **mark)
        elif track.begin == track.end and track.parent:
            axes.plot(track.end, row, ".", **mark)
    axes.set(
        xlabel="frame", xlim=(-0.5, last + 0.8), ylim=(max(rows.values(), default=0) + 0.7, -1)
    )
    axes.set_yticks([])
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(title or folder.parent.name, loc="left", fontsize=10)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110)


def draw_story(kind: str, movie: NDArray[Any], picture: Path) -> None:
    """Track all objects of a movie, and draw some frames of it above its tree."""
    lineage = AllObjects().lineage(TrackingOptions(model="nano").tracker(movie))
    shown = []
    with TemporaryDirectory() as folder, open_frames(movie) as frames:
        results, tree = Path(folder), Path(folder) / "tree.png"
        with open_writers(results, "ctc", frames, parents=lineage.parents) as writers:
            for one in lineage.run():
                writers.write(one.frame, one.time, one.masks)
                if one.frame in SHOWN:
                    shown.append(overlay(frames[one.frame].image, one.masks, scale=2))
        draw_tree(results, tree, f"{kind}, 50 frames: {summary_of(lineage.events)}")
        drawn = Image.open(tree).convert("RGB")
    row = Image.fromarray(np.hstack(shown))
    row = row.resize((drawn.width, round(row.height * drawn.width / row.width)))
    whole = Image.new("RGB", (drawn.width, row.height + drawn.height), "white")
    whole.paste(row, (0, 0))
    whole.paste(drawn, (0, row.height))
    whole.save(picture, quality=85)


def _rows(tracks: Mapping[int, Track]) -> dict[int, float]:
    """Place tracks so that no branches cross: leaves one under the other, mothers in between."""
    daughters: dict[int, list[int]] = {label: [] for label in tracks}
    roots = []
    for label, track in tracks.items():
        daughters.get(track.parent, roots).append(label)
    rows: dict[int, float] = {}
    leaves = 0
    waiting = sorted(roots, key=lambda label: (tracks[label].begin, label), reverse=True)
    while waiting:
        label = waiting.pop()
        open_ones = [one for one in daughters[label] if one not in rows]
        if open_ones:
            waiting += [label, *reversed(open_ones)]
        elif daughters[label]:
            rows[label] = sum(rows[one] for one in daughters[label]) / len(daughters[label])
        else:
            rows[label], leaves = leaves, leaves + 1
    return rows


if __name__ == "__main__" and len(sys.argv) == 1:
    for kind, make in STORIES.items():
        draw_story(kind, make(), PICTURES / f"lineage-{kind}.jpg")
elif __name__ == "__main__":
    draw_tree(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
