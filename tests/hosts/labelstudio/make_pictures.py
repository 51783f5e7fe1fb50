"""Make the pictures of docs/label-studio.md, on a running `sam2-plugins labelstudio demo`.

python -m tests.hosts.labelstudio.make_pictures URL EMAIL PASSWORD
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from sam2_plugins.training.synthetic import sample_timelapse
from tests.hosts.labelstudio.conftest import CHROMIUM
from tests.hosts.labelstudio.editor import Browser, Editor

PICTURES = Path(__file__).parents[3] / "docs" / "pictures"
CELLS = 4


Box = tuple[float, float, float, float]


def lonely_cells(labels: np.ndarray) -> dict[int, Box]:
    """Boxes (x0, y0, x1, y1; shares of the sides) of cells far from others and from the edge."""
    found = {}
    for number in np.unique(labels)[1:]:
        ys, xs = np.nonzero(labels == number)
        x0, y0, x1, y1 = xs.min() - 3, ys.min() - 3, xs.max() + 4, ys.max() + 4
        is_inside = min(x0, y0) > 20 and max(x1, y1) < len(labels) - 20
        if is_inside and set(np.unique(labels[y0:y1, x0:x1])) <= {0, number}:
            found[int(number)] = tuple(side / len(labels) for side in (x0, y0, x1, y1))
    return found


def middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def draw(editor: Editor, box: Box) -> None:
    editor.choose_label("Cell")
    editor.draw_box(box)
    editor.select_box(*middle(box))
    editor.press_label("t")


def correct(editor: Editor, movie: np.ndarray) -> None:
    """A box is tracked, moved to another cell on a later frame, and tracked again: three panels."""
    first, last = 20, 30
    on_first = lonely_cells(movie[0])
    later = {frame: lonely_cells(movie[frame]) for frame in (first, last)}
    followed = [n for n in later[first] if n in later[last] and n in on_first]
    one, other = followed[0], followed[1]
    panels = []
    draw(editor, on_first[one])
    editor.show_frame(first + 1)
    panels.append(panel(editor))
    editor.drag_on_video(middle(later[first][one]), middle(later[first][other]))
    panels.append(panel(editor))
    editor.press_label("t")
    editor.show_frame(last + 1)
    panels.append(panel(editor))
    width = sum(one.width for one in panels) + 20 * (len(panels) - 1)
    together = Image.new("RGB", (width, panels[0].height), "white")
    for number, one_panel in enumerate(panels):
        together.paste(one_panel, (number * (one_panel.width + 20), 0))
    together.save(PICTURES / "label-studio-correction.jpg", quality=82)
    editor.page.evaluate("Htx.annotationStore.selected.deleteAllRegions()")


def panel(editor: Editor) -> Image.Image:
    """Return the video with its boxes, and the timeline below it."""
    editor.page.mouse.move(1200, 700)
    editor.page.wait_for_timeout(800)
    shot = Image.open(io.BytesIO(editor.page.screenshot())).convert("RGB")
    stage = editor.page.locator(".konvajs-content").first.bounding_box()
    assert stage is not None
    middle_x = stage["x"] + stage["width"] / 2
    left, right = max(238, middle_x - 310), min(shot.width, middle_x + 310)
    top, bottom = stage["y"], stage["y"] + stage["height"] + 160
    return shot.crop((int(left), int(top), int(right), int(min(bottom, shot.height))))


def save(editor: Editor, name: str) -> None:
    editor.page.mouse.move(1200, 700)
    editor.page.wait_for_timeout(800)
    shot = Image.open(io.BytesIO(editor.page.screenshot())).convert("RGB")
    shot.crop((238, 48, shot.width, shot.height)).save(PICTURES / name, quality=82)


def main(url: str, email: str, password: str) -> None:
    movie = sample_timelapse(frames=40, size=384)[1]
    cells = list(lonely_cells(movie[0]).values())[:CELLS]
    with Browser(CHROMIUM, url) as browser:
        browser.log_in(email, password)
        editor = browser.open_task(1, 1)
        editor.wait_for_video()
        editor.annotate_automatically()
        correct(editor, movie)
        editor.show_frame(1)
        for box in cells:
            draw(editor, box)
            editor.page.keyboard.press("Escape")
        editor.show_frame(30)
        save(editor, "label-studio-video.jpg")
        editor.close()
        editor = browser.open_task(2, 2)
        editor.wait_for_image()
        editor.annotate_automatically()
        for number, (x0, y0, x1, y1) in enumerate(cells):
            editor.show_page(0)
            if number:  # the tool stays chosen
                editor.choose_label("Mitosis" if number % 2 else "Cell")
            else:
                editor.choose_smart_tool("Cell")
            editor.click_image((x0 + x1) / 2, (y0 + y1) / 2)
            editor.accept_suggestions()
        editor.show_page(12)
        save(editor, "label-studio-stack.jpg")
        editor.show_page(0)
        editor.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
