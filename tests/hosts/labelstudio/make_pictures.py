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


def lonely_cells(labels: np.ndarray) -> list[tuple[float, float, float, float]]:
    """Boxes (x0, y0, x1, y1; shares of the sides) of cells far from others and from the edge."""
    found = []
    for number in np.unique(labels)[1:]:
        ys, xs = np.nonzero(labels == number)
        x0, y0, x1, y1 = xs.min() - 3, ys.min() - 3, xs.max() + 4, ys.max() + 4
        is_inside = min(x0, y0) > 20 and max(x1, y1) < len(labels) - 20
        if is_inside and set(np.unique(labels[y0:y1, x0:x1])) <= {0, number}:
            found.append(tuple(side / len(labels) for side in (x0, y0, x1, y1)))
    return found[:CELLS]


def save(editor: Editor, name: str) -> None:
    editor.page.mouse.move(1200, 700)
    editor.page.wait_for_timeout(800)
    shot = Image.open(io.BytesIO(editor.page.screenshot())).convert("RGB")
    shot.crop((238, 48, shot.width, shot.height)).save(PICTURES / name, quality=82)


def main(url: str, email: str, password: str) -> None:
    cells = lonely_cells(sample_timelapse(frames=40, size=384)[1][0])
    with Browser(CHROMIUM, url) as browser:
        browser.log_in(email, password)
        editor = browser.open_task(1, 1)
        editor.wait_for_video()
        editor.annotate_automatically()
        for x0, y0, x1, y1 in cells:
            editor.draw_box((x0, y0, x1, y1))
            editor.click_video((x0 + x1) / 2, (y0 + y1) / 2)
            editor.press_label(1)
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
