"""The App in a real browser: the button, the form, live progress, the masks, the panel.

With SAM2_PICTURES=FOLDER the pictures of the documentation are made on the way.
"""

from __future__ import annotations

import os
import re
import time
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest
from PIL import Image

from sam2_plugins.fiftyone_plugin import propagate
from tests.hosts.fiftyone.app import CHROMIUM, PATIENCE, begin, running_app, shown, stop

sync_api = pytest.importorskip("playwright.sync_api")

MOVIES = 60  # of which none but the first few are ever reached

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from sam2_plugins.fiftyone_plugin.demo import make_demo

    dataset = make_demo(tmp_path_factory.mktemp("demo"))
    yield dataset
    dataset.delete()


@pytest.fixture(scope="module")
def long(demo: Any) -> Iterator[Any]:
    """Work for a while: the same movie again and again."""
    dataset = fo.Dataset("sam2-long", persistent=True)
    movie = demo.first()
    for _ in range(MOVIES):
        sample = fo.Sample(movie.filepath, metadata=movie.metadata)
        sample.frames[1] = fo.Frame(prompts=movie.frames[1]["prompts"].copy())
        dataset.add_sample(sample)
    yield dataset
    dataset.delete()


@pytest.fixture(scope="module")
def address(demo: Any) -> Iterator[str]:
    with running_app(demo.name) as address:
        yield address


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Any]:
    with shown(address) as page:
        yield page


def picture(page: Any, name: str) -> None:
    """Keep what a person sees, if pictures are wanted."""
    folder = os.environ.get("SAM2_PICTURES")
    if folder:
        image = Image.open(BytesIO(page.screenshot())).convert("RGB")
        image.save(Path(folder) / f"fiftyone-{name}.jpg", quality=80, optimize=True)


def open_first_sample(page: Any) -> Any:
    """Click into the grid until it answers: it draws on a canvas, of which nothing can be asked."""
    modal = page.locator("#modal")
    deadline = time.monotonic() + PATIENCE / 1000
    while not modal.is_visible():
        assert time.monotonic() < deadline, "no sample opens"
        page.mouse.click(350, 220)
        page.wait_for_timeout(1000)
    return modal


def test_from_the_button_to_masks_on_all_frames(page: Any, demo: Any) -> None:
    button = page.get_by_text("SAM 2: propagate masks").first
    button.wait_for()
    button.click()
    form = page.get_by_role("dialog")
    form.get_by_text("Choose a field whose labels are prompts.").wait_for()
    execute = form.get_by_role("button", name="Execute")
    assert execute.is_disabled()
    fields = form.get_by_role("combobox").first
    for name in ("prompts", "prompts_clicks"):
        fields.click()
        page.get_by_role("option", name=name, exact=True).click()
    sync_api.expect(execute).to_be_enabled(timeout=PATIENCE)
    page.wait_for_timeout(1000)  # for the picture only: the list of choices fades
    picture(page, "form")
    execute.click()
    page.get_by_text(re.compile("of 20 frames|1 done: 8 objects")).first.wait_for()
    picture(page, "progress")
    page.get_by_text("1 done: 8 objects on 20 frames").first.wait_for(timeout=4 * PATIENCE)
    demo.reload()
    assert demo.count("frames.sam2.detections") == 8 * 20


def test_the_panel_plots_and_names_the_frames_to_look_at(page: Any, demo: Any) -> None:
    close = page.get_by_role("button", name="Done")
    if close.count():
        close.first.click()
    # The masks of the demo are good: one of them is made doubtful.
    sample = demo.first()
    mask = sample.frames[7].sam2.detections[0]
    mask["doubt"], mask["doubt_reasons"] = 0.8, "jump of place"
    sample.save()
    page.reload(wait_until="domcontentloaded")
    page.get_by_text("frames.sam2").first.wait_for()
    modal = open_first_sample(page)
    panel = modal.get_by_text("SAM 2: masklets").first
    panel.wait_for()
    page.wait_for_timeout(3000)
    picture(page, "masks")
    panel.click()
    modal.get_by_text("Look at these first").wait_for()
    modal.locator("button", has_text="Frame ").first.wait_for()
    plots = modal.locator(".js-plotly-plot")
    plots.first.wait_for()
    page.wait_for_timeout(1500)  # for the picture only: the plot is drawn by and by
    picture(page, "panel")
    assert plots.count() == 1


def test_a_doubtful_frame_is_shown_in_the_panel_with_its_masks(page: Any) -> None:
    modal = page.locator("#modal")
    doubt = modal.locator("button", has_text="Frame ").last
    number = doubt.inner_text().split(":")[0]
    doubt.click()
    modal.locator(".gtitle", has_text=number).wait_for()
    frame = modal.locator(".js-plotly-plot image").first
    frame.wait_for(state="attached")
    picture(page, "frame")
    link = frame.get_attribute("href") or frame.get_attribute("xlink:href")
    image = np.asarray(Image.open(urllib.request.urlopen(link)), int)
    colourful = np.ptp(image, axis=-1) > 60  # the movie is grey
    assert 0.005 < colourful.mean() < 0.2


def masks_in(dataset: Any) -> int:
    dataset.reload()
    path = "frames.sam2.detections"
    return dataset.count(path) if dataset.has_field(path) else 0


def test_a_run_is_stopped_from_the_page_that_began_it_and_keeps_what_was_done(
    page: Any, address: str, long: Any
) -> None:
    page.goto(address.rsplit("/", 1)[0] + f"/{long.name}", wait_until="domcontentloaded")
    begin(page)
    assert not page.get_by_role("dialog").count(), "nothing covers the page"
    while not masks_in(long):
        page.wait_for_timeout(200)
    stop(page)
    assert masks_in(long) < 4 * 20 * MOVIES
    report = propagate(long[:1], "prompts")
    assert report.count("done") == 1
    assert report.movies[0].computed < 20
