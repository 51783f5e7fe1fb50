"""Make the pictures of docs/napari.md again: `make pictures-napari`.

The real viewer with the dock, on the synthetic sample, at six points of a person's way: four on
that of one_by_one, two on that of all_cells; either can be named.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication
from skimage.measure import regionprops
from superqt import QCollapsible

from sam2_plugins.training.synthetic import sample_timelapse

FOLDER = Path(__file__).parent / "pictures"
CELLS = 4
MOTHER, DAUGHTERS, DIVISION = 13, (51, 52), 10
"""Labels in the sample of a cell that divides, and the first frame with its daughters."""


def until(condition: Callable[[], bool], seconds: float = 600) -> None:
    """Let the window live until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("It took too long.")
        QApplication.processEvents()
        time.sleep(0.005)


def rest(seconds: float = 1.0) -> None:
    """Let the window draw."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end)


def take(viewer: napari.Viewer, name: str) -> None:
    """Keep what a person sees."""
    rest()
    shot = Image.fromarray(viewer.screenshot(canvas_only=False, flash=False)[..., :3])
    shot.save(FOLDER / f"napari-{name}.jpg", quality=70, optimize=True)


def open_sample() -> tuple[napari.Viewer, Any]:
    """Open the sample and the dock."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 940)
    viewer.open_sample("sam2-plugins", "synthetic")
    _, widget = viewer.window.add_plugin_dock_widget("sam2-plugins", "SAM 2")
    viewer.dims.set_point(0, 0)
    rest()
    viewer.reset_view()
    return viewer, widget


def one_by_one() -> None:
    """Click, track, divide, measure."""
    viewer, widget = open_sample()
    controller, labels = widget.controller, sample_timelapse()[1]
    inside = [r for r in regionprops(np.asarray(labels[0])) if min(r.bbox[:2]) > 40]
    cells = sorted(inside, key=lambda region: -region.area)[:CELLS]
    widget.tools.click.click()
    for cell in cells:
        if cell is not cells[0]:
            controller.new_object()
        click(widget, 0, cell.centroid)
    take(viewer, "click")
    controller.go_to_frame(3)
    halfway: list[int] = []
    controller.progressed.connect(lambda now: now is not None and halfway.append(now.done))
    widget.run.forward.click()
    until(lambda: max(halfway, default=0) >= 8)
    take(viewer, "run")
    until(lambda: not widget.jobs.busy)
    controller.new_object()
    before = DIVISION - 4
    controller.go_to_frame(before)
    click(widget, before, centre(labels[before], MOTHER))
    widget.run.start("both")
    until(lambda: not widget.jobs.busy)
    controller.go_to_frame(DIVISION)
    controller.divisions.divide()
    for daughter in DAUGHTERS:
        click(widget, DIVISION, centre(labels[DIVISION], daughter))
    widget.run.start("forward")
    until(lambda: not widget.jobs.busy)
    controller.go_to_frame(DIVISION + 3)
    take(viewer, "division")
    controller.results.measure()
    until(lambda: bool(controller.results.measures))
    widget.findChildren(QCollapsible)[0].expand(animate=False)
    take(viewer, "measures")
    viewer.close()


def all_cells() -> None:
    """Let cells be proposed, refuse some, track all, look at what was decided."""
    viewer, widget = open_sample()
    controller = widget.controller
    viewer.dims.set_point(0, DIVISION - 2)
    widget.proposals.propose.click()
    until(lambda: bool(controller.proposals.masks))
    smallest = sorted(controller.proposals.diameters.values())[2]
    widget.proposals.sizes.setValue((int(smallest) + 1, widget.proposals.sizes.value()[1]))
    take(viewer, "proposals")
    widget.proposals.sizes.setValue((0, widget.proposals.sizes.value()[1]))
    widget.proposals.accept.click()
    until(lambda: not widget.jobs.busy)
    widget.run.last.setValue(DIVISION + 1)
    widget.run.all.click()
    until(lambda: not widget.jobs.busy, 1800)
    divided = [offer for offer in controller.offers.due if offer.mother is not None]
    while controller.offers.due[0] != divided[0]:
        controller.offers.accept()
    controller.offers.show()
    rest()
    until(lambda: not widget.jobs.busy)  # with judging the frames of the shown object
    take(viewer, "offers")
    viewer.close()


def main(*stories: str) -> None:
    """Take the pictures of all stories, or of those that are named."""
    for story in (one_by_one, all_cells):
        if not stories or story.__name__ in stories:
            story()


def click(widget: Any, frame: int, yx: tuple[float, float]) -> None:
    """Click, and wait for the mask."""
    widget.controller.work.workspace.points.add([frame, *yx])
    until(lambda: not widget.jobs.busy)


def centre(labels: np.ndarray, label: int) -> tuple[float, float]:
    """Row and column of a cell's centre."""
    rows, columns = np.nonzero(labels == label)
    return float(rows.mean()), float(columns.mean())


if __name__ == "__main__":
    main(*sys.argv[1:])
