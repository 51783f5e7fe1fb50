"""The whole story of a movie with a division in napari: clicks, waits, J of what is exported.

    xvfb-run -a python benchmarks/napari_story.py DATA/ctc_dic_hela_01 [--pictures FOLDER]

A real window, mouse and keys; nano with one torch thread. One click on each of the dataset's
objects on its first frame, Forward; Divide where the truth divides; then a person goes with K from
one doubtful frame of any object to the next, corrects with one click where the mask is wrong
(IoU below .7; the simulated person knows the truth), and presses G; then Both, which a careful
person would not need. After each step the objects are exported for the Cell Tracking Challenge, and
scored as `sam2-plugins evaluate` does: J of the first objects, and J with the daughters, who count
as 0 until there are any. Clicks count those in the image, keys all others.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from napari_gui import Ticks, dock, rest, until
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget

from sam2_plugins.core.datasets import load_dataset
from sam2_plugins.core.evaluation import innermost_pixel, next_click, read_result
from sam2_plugins.core.evaluation.labelled_tracks import truth_of
from sam2_plugins.core.evaluation.object_ids import evaluate_by_overlap
from sam2_plugins.core.export import FORMATS
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.napari_plugin.models.click_meaning import meaning_of_click

WRONG = 0.7
"""A person corrects a mask below this IoU."""
NO_KEYS = Qt.KeyboardModifier.NoModifier


@dataclass
class Hands:
    """A person at the window: what they press, and how often.

    Attributes
    ----------
    labels
        True object to the object of the dock that was clicked for it.
    """

    viewer: Any
    widget: Any
    clicks: int = 0
    keys: int = 0
    labels: dict[int, int] = field(default_factory=dict)

    def idle(self) -> None:
        """Wait for all that is being worked on, and for the strip that shows it."""
        for _ in range(2):
            rest(0.15)
            until(lambda: not self.widget.jobs.busy)

    def click(self, x: float, y: float, *, exclude: bool = False) -> None:
        """Click on a pixel of the image."""
        keys = Qt.KeyboardModifier.ControlModifier if exclude else NO_KEYS
        canvas = self._canvas()
        camera = getattr(self.viewer, "scene", self.viewer).camera  # where napari 0.9 has it
        middle = np.asarray(camera.center)[-2:]
        down, right = (np.array([y, x]) - middle) * camera.zoom
        place = QPoint(round(canvas.width() / 2 + right), round(canvas.height() / 2 + down))
        QTest.mouseMove(canvas, place)
        QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, keys, place)
        self.clicks += 1
        self.idle()

    def key(self, key: Qt.Key) -> None:
        """Press a key over the image."""
        canvas = self._canvas()
        canvas.setFocus()
        QTest.keyClick(canvas, key)
        self.keys += 1
        self.idle()

    def press(self, button: QWidget) -> None:
        """Press a button of the dock, or tick a box at its left end."""
        left = QPoint(10, button.height() // 2)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton, NO_KEYS, left)
        self.keys += 1
        self.idle()

    def show(self, frame: int) -> None:
        """Drag napari's slider to a frame."""
        self.viewer.dims.set_point(0, frame)
        self.idle()

    def select(self, label: int) -> None:
        """Click on a line of the table."""
        tree = self.widget.objects.tree
        (item,) = tree.findItems(self.widget.controller.objects[label], Qt.MatchFlag.MatchRecursive)
        tree.scrollToItem(item)
        middle = tree.visualItemRect(item).center()
        QTest.mouseClick(tree.viewport(), Qt.MouseButton.LeftButton, NO_KEYS, middle)
        self.keys += 1
        self.idle()

    def masks(self) -> dict[int, ObjectMask]:
        """Masks of the shown frame, by label."""
        space = self.widget.controller.work.workspace
        return dict(space.store.on_frame(space.step))

    def _canvas(self) -> QWidget:
        (canvas,) = (
            widget
            for widget in QApplication.allWidgets()
            if type(widget).__name__.startswith("CanvasBackend") and widget.isVisible()
        )
        return canvas


class Story:
    """The steps, and the line that is printed after each."""

    def __init__(self, folder: Path, pictures: Path | None) -> None:
        self.dataset = load_dataset(folder)
        self.truth, self.settings = self.dataset.truth, dict(self.dataset.settings)
        self.cells: list[int] = list(self.settings.pop("objects"))
        self.mothers = {
            daughter: mother
            for daughter, mother in truth_of(self.dataset).parents.items()
            if mother in self.cells
        }
        self.pictures = pictures
        with open_frames(self.dataset.frames) as frames:
            movie = np.stack([frames[i].image for i in range(len(self.truth))])
        self.hands = Hands(*dock(movie, rgb=True))
        self.hands.viewer.window.resize(1400, 950)
        self.hands.idle()
        self.hands.viewer.reset_view()

    def first(self, obj: int) -> int:
        """First frame on which a true object is."""
        return next(t for t in range(len(self.truth)) if obj in self.dataset.masks(t))

    def tell(self, title: str, act: Callable[[], object]) -> None:
        """Do a step; print what it took, and J of what is exported after it."""
        hands, ticks = self.hands, Ticks()
        before, began = (hands.clicks, hands.keys), time.perf_counter()
        act()
        seconds = time.perf_counter() - began
        gap, work = ticks.stop().max(0)
        with tempfile.TemporaryDirectory() as folder:
            self.hands.widget.controller.results.export("ctc", Path(folder))
            hands.idle()
            result = read_result(Path(folder) / FORMATS["ctc"])
            labels = np.stack([result.images[i] for i in range(len(self.truth))])
            cells, everyone = (self.score(labels, who) for who in (self.cells, self.everyone))
        print(
            f"| {title} | {hands.clicks - before[0]} | {hands.keys - before[1]} | {seconds:.0f} s "
            f"| {gap:.0f} ms ({work:.0f}) | {cells:.3f} | {everyone:.3f} "
            f"| {len(set(result.parents.values()))} |",
            flush=True,
        )
        if self.pictures is not None:
            shot = hands.viewer.screenshot(canvas_only=False, flash=False)[..., :3]
            Image.fromarray(shot).save(self.pictures / f"{title.lower().replace(' ', '-')}.png")

    @property
    def everyone(self) -> list[int]:
        """The cells, and the daughters of those that divide."""
        return [*self.cells, *self.mothers]

    def score(self, labels: np.ndarray, objects: list[int]) -> float:
        """J of exported labels, whatever ids they have."""
        starts = {obj: self.first(obj) for obj in objects}
        settings = self.settings | {"objects": objects, "prompt_frame": starts}
        return evaluate_by_overlap(labels, self.truth, **settings)[0].J

    # -- steps

    def click_cells(self) -> None:
        """Click once on each cell of the first frame."""
        hands = self.hands
        hands.press(hands.widget.tools.click)
        for cell in self.cells:
            self.click_inside(cell)

    def click_inside(self, cell: int) -> None:
        """Click deep inside a cell; with N before, where the dock would take it for another's."""
        hands, control = self.hands, self.hands.widget.controller
        x, y = innermost_pixel(self.dataset.masks(control.frame)[cell])
        if (
            self.hands.labels
            and meaning_of_click(x, y, hands.masks(), control.selected, True) != "new"
        ):
            hands.key(Qt.Key.Key_N)
        hands.click(x, y)
        hands.labels[cell] = control.selected

    def divide(self) -> None:
        """Divide each mother where the truth divides, click on her daughters, track them."""
        hands = self.hands
        for mother in dict.fromkeys(self.mothers.values()):
            daughters = [d for d, whose in self.mothers.items() if whose == mother]
            hands.show(self.first(daughters[0]))
            hands.select(hands.labels[mother])
            hands.key(Qt.Key.Key_U)
            hands.press(hands.widget.tools.click)
            for daughter in daughters:
                label = hands.widget.controller.selected
                x, y = innermost_pixel(self.dataset.masks(self.first(daughter))[daughter])
                hands.click(x, y)
                hands.labels[daughter] = label
        hands.press(hands.widget.run.forward)

    def correct(self, most: int) -> None:
        """Go through the doubtful frames, and correct what is wrong there."""
        hands, control = self.hands, self.hands.widget.controller
        hands.press(hands.widget.strip_all)
        hands.show(0)
        corrected, here = 0, -1
        while corrected < most:
            hands.key(Qt.Key.Key_K)
            if control.frame == here:
                return
            here = control.frame
            corrected += self.corrected_here()

    def corrected_here(self) -> bool:
        """Correct the selected object on the shown frame, if it is wrong; track on from there."""
        hands, control = self.hands, self.hands.widget.controller
        cell = {label: cell for cell, label in hands.labels.items()}[control.selected]
        truth = self.dataset.masks(control.frame).get(cell)
        mask = hands.masks().get(control.selected)
        if truth is None or (mask is not None and mask.iou_with(truth) >= WRONG):
            return False
        click = next_click(truth, mask)
        if click is None:
            return False
        (x, y), positive = click
        hands.click(x, y, exclude=not positive)
        hands.key(Qt.Key.Key_G)
        return True


def main(folder: Path, corrections: int, pictures: Path | None) -> None:
    """Tell the story, line by line."""
    torch.set_num_threads(1)
    story = Story(folder, pictures)
    run = story.hands.widget.run
    print(f"{len(story.cells)} cells of {story.dataset.name}, {len(story.truth)} frames")
    head = ["step", "clicks", "keys", "seconds", "longest-gap", "J", "with-daughters", "mothers"]
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|")
    story.tell("Click", story.click_cells)
    story.tell("Forward", lambda: story.hands.press(run.forward))
    story.tell("Divide", story.divide)
    story.tell("Correct", lambda: story.correct(corrections))
    story.tell("Both", lambda: story.hands.press(run.both))
    story.hands.viewer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--corrections", type=int, default=8, help="At most.")
    parser.add_argument("--pictures", type=Path, help="Where to keep a picture after each step.")
    given = parser.parse_args()
    main(given.folder, given.corrections, given.pictures)
