"""Label Studio's editor in headless Chromium, as an annotator uses it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

PATIENCE = 120_000

_FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --autoplay-policy=no-user-gesture-required"
)


class Browser:
    """A browser that is logged in."""

    def __init__(self, executable: str, url: str) -> None:
        self._executable = executable
        self._url = url

    def __enter__(self) -> Browser:
        self._playwright = sync_playwright().start()
        self._chromium = self._playwright.chromium.launch(
            executable_path=self._executable, args=_FLAGS.split()
        )
        self._context = self._chromium.new_context(viewport={"width": 1400, "height": 1100})
        self._context.set_default_timeout(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self._chromium.close()
        self._playwright.stop()

    def log_in(self, email: str, password: str) -> None:
        page = self._context.new_page()
        page.goto(f"{self._url}/user/login/", wait_until="domcontentloaded")
        page.fill("input[name=email]", email)
        page.fill("input[name=password]", password)
        page.keyboard.press("Enter")
        page.wait_for_function("!location.pathname.includes('login')")
        page.close()

    def open_task(self, project: int, task: int) -> Editor:
        """Open a task as at the first time: the editor remembers the tabs that were chosen."""
        page = self._context.new_page()
        page.add_init_script("localStorage.clear()")
        page.goto(f"{self._url}/projects/{project}/data?task={task}", wait_until="domcontentloaded")
        return Editor(page)


class Editor:
    """The editor on a task."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self._tool = self._label = ""
        self.last_context: list[dict[str, Any]] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.wait_for_function("window.Htx?.annotationStore?.selected?.names?.size > 0")

    def close(self) -> None:
        self.page.close()

    # -- what a person does

    def wait_for_video(self) -> None:
        self.page.wait_for_function(
            """() => {
              const video = Htx.annotationStore.selected.names.get('video');
              const media = document.querySelector('video');
              return video?.length > 1 && media?.readyState >= 2;
            }"""
        )
        self.page.wait_for_selector(".konvajs-content canvas")

    def wait_for_image(self) -> None:
        self.page.wait_for_function(
            "Htx.annotationStore.selected.names.get('image')?.stageWidth > 1"
        )
        self.page.wait_for_selector(".konvajs-content canvas")

    def wait_for_regions(self, count: int) -> None:
        """Wait for what is shown of an annotation that was opened."""
        self.page.wait_for_function(
            "n => Htx.annotationStore.selected.serializeAnnotation().length === n", arg=count
        )

    def annotate_automatically(self) -> None:
        if not self.page.evaluate("Htx.autoAnnotation"):
            self.page.get_by_text("Auto-Annotation", exact=True).click()
        self.page.wait_for_function("Htx.autoAnnotation")

    def show_frame(self, frame: int) -> None:
        """Go to a frame of the video, from 1 on, as the timeline does."""
        self.page.evaluate(
            "frame => Htx.annotationStore.selected.names.get('video').setFrame(frame)", frame
        )
        self.page.wait_for_function(
            """() => {
              const media = document.querySelector('video');
              return !media.seeking && media.readyState >= 2;
            }"""
        )

    def draw_box(self, box: tuple[float, float, float, float]) -> None:
        """Draw x0, y0, x1, y1, shares of the video's width and height."""
        x0, y0, x1, y1 = box
        corners = [self._on_video(x, y) for x, y in ((x0, y0), (x1, y1))]
        before = len(self.results())
        mouse = self.page.mouse
        mouse.move(*corners[0])
        mouse.down()
        mouse.move((corners[0][0] + corners[1][0]) / 2, (corners[0][1] + corners[1][1]) / 2)
        mouse.move(*corners[1])
        mouse.up()
        self.page.wait_for_function(
            "n => Htx.annotationStore.selected.serializeAnnotation().length > n", arg=before
        )

    def click_video(self, x: float, y: float) -> None:
        self.page.mouse.click(*self._on_video(x, y))

    def drag_on_video(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Drag what is drawn at a place of the video, in shares of its width and height."""
        places = [self._on_video(*start), self._on_video(*end)]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        self.page.mouse.move(*places[1], steps=6)
        self.page.mouse.up()

    def select_box(self, x: float, y: float) -> None:
        """Click on a box, and wait until the editor has taken it for selected."""
        self.click_video(x, y)
        self.page.wait_for_function(
            "Htx.annotationStore.selected.regionStore.selection.list.length === 1"
        )
        # Its labels are shown when the page is drawn again.
        self.page.evaluate(
            "() => new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
        )

    def press_label(self, key: int | str) -> None:
        """Press the key of a label or button, and wait for what the backend makes of it."""
        with self._answer_to_a_prompt():
            self.page.keyboard.press(str(key))

    def wait_until_saved(self) -> None:
        """Have all changes saved as a draft, as the editor does after some seconds."""
        saved = "(({draftId, isDraftSaving}) => draftId && !isDraftSaving)"
        # What waits for its turn is only sent when nothing is being sent.
        self.page.wait_for_function("!Htx.annotationStore.selected.isDraftSaving")
        self.page.evaluate("Htx.annotationStore.selected.saveDraftImmediately()")
        self.page.wait_for_function(f"{saved}(Htx.annotationStore.selected)")

    def show_page(self, page: int) -> None:
        """Go to a page of a stack, from 0 on."""
        self.page.evaluate(
            "page => Htx.annotationStore.selected.names.get('image').setCurrentImage(page)", page
        )
        self.page.wait_for_function(
            """page => {
              const image = Htx.annotationStore.selected.names.get('image');
              return image.currentImage === page && image.imageIsLoaded !== false;
            }""",
            arg=page,
        )

    def choose_smart_tool(self, label: str, tool: str = "KeyPointTool") -> None:
        """Choose a smart tool, and a label of the first control."""
        self._tool, self._label = tool, label
        self._hold_choice()

    def choose_label(self, label: str) -> None:
        """Choose a label of the first control; the editor forgets it after each region."""
        self._label = label
        self._hold_choice()

    def _hold_choice(self) -> None:
        """See that the editor holds the tool and the label, which it drops by itself.

        A second press on a label lets it go, a press on the smart button takes the next tool of
        its list, and another tool drops the label: so look first, press only what is missing, and
        take the label last.
        """
        for _ in range(20):
            tool, labels = self.page.evaluate(
                """() => {
                  const names = Htx.annotationStore.selected.names;
                  const tool = names.get('image')?.getToolsManager().findSelectedTool();
                  const labels = [...names.values()].flatMap(one => one.selectedLabels ?? []);
                  return [tool?.dynamic ? tool.toolName : '', labels.map(one => one._value)];
                }"""
            )
            if self._tool and tool != self._tool:
                self._press_smart_tool()
            elif self._label not in labels:
                first = self.page.locator(".lsf-labels").first
                first.get_by_text(self._label, exact=True).first.click()
            else:
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"the editor keeps {tool!r} with {labels}, not {self._label!r}")

    def _press_smart_tool(self) -> None:
        self.page.locator(".lsf-tool_smart").first.click()
        if self.page.locator(".lsf-toolbar__smart").count():  # there are smart tools of other kinds
            self.page.locator(".lsf-tool_smart").first.hover()
            name = re.sub("(?<=[a-z])(?=[A-Z])", "-", self._tool).lower()
            self.page.locator(f".lsf-toolbar__smart [aria-label={name}]").click()

    def accept_suggestions(self) -> None:
        self.page.evaluate("Htx.annotationStore.selected.acceptAllSuggestions()")
        self.page.wait_for_function("Htx.annotationStore.selected.suggestions.size === 0")

    def click_image(self, x: float, y: float, negative: bool = False) -> None:
        """Click with the smart tool, and wait for the answer; shares of the image's sides."""
        with self._answer_to_a_prompt():
            if negative:
                self.page.keyboard.down("Alt")
            self.page.mouse.click(*self._on_image(x, y))
            if negative:
                self.page.keyboard.up("Alt")

    def turn_image(self, degrees: int) -> None:
        """Turn the picture, as the buttons below it do: clockwise if positive."""
        image = "Htx.annotationStore.selected.names.get('image')"
        before = self.page.evaluate(f"{image}.rotation")
        self.page.evaluate(f"degrees => {image}.rotate(degrees)", degrees)
        self.page.wait_for_function(
            f"wanted => {image}.rotation === wanted", arg=(before + degrees) % 360
        )

    def drag_on_image(self, *points: tuple[float, float]) -> None:
        """Draw with the smart tool from point to point, and wait for the answer."""
        places = [self._on_image(*point) for point in points]
        with self._answer_to_a_prompt():
            self.page.mouse.move(*places[0])
            self.page.mouse.down()
            for place in places[1:]:
                self.page.mouse.move(*place, steps=8)
            self.page.mouse.up()

    @contextmanager
    def _answer_to_a_prompt(self) -> Iterator[None]:
        """Wait for what the backend makes of what the block does."""
        with self.page.expect_response("**/interactive-annotating**") as answer:
            yield
        answer.value.finished()
        self.last_context = json.loads(answer.value.request.post_data or "{}")["context"]["result"]
        self._wait_for_suggestions()

    def screenshot(self, path: Path) -> None:
        self.page.screenshot(path=str(path))

    # -- what there is

    def results(self) -> list[dict[str, Any]]:
        """What would be saved."""
        found = self.page.evaluate(
            "JSON.stringify(Htx.annotationStore.selected.serializeAnnotation())"
        )
        return list(json.loads(found))

    def suggestions(self) -> int:
        return int(self.page.evaluate("Htx.annotationStore.selected.suggestions.size"))

    def box_shown(self, region: str) -> tuple[float, float, float, float] | None:
        """Return x, y, width, height in percent of what is drawn on this frame."""
        found = self.page.evaluate(
            """id => {
              const regions = Htx.annotationStore.selected.regions;
              const region = regions.find(one => one.cleanId === id);
              const frame = region.object.frame;
              const shape = region.isInLifespan(frame) ? region.getShape(frame) : null;
              return shape && [shape.x, shape.y, shape.width, shape.height];
            }""",
            region,
        )
        return tuple(found) if found else None

    def video_pixels(self) -> np.ndarray:
        """Return what is drawn of the video, uint8 [H, W] (its red channel)."""
        left, top, width, height = self._video_in_stage()
        rows = self.page.evaluate(
            """([x, y, w, h]) => {
              const canvas = [...document.querySelectorAll('canvas')]
                .find(one => !one.closest('.konvajs-content'));
              const pixels = canvas.getContext('2d').getImageData(x, y, w, h).data;
              return Array.from(pixels.filter((_, i) => i % 4 === 0));
            }""",
            [left, top, width, height],
        )
        return np.array(rows, np.uint8).reshape(height, width)

    def _wait_for_suggestions(self) -> None:
        self.page.wait_for_function("!Htx.awaitingSuggestions")

    def _on_video(self, x: float, y: float) -> tuple[float, float]:
        """Return where on the page a point of the video is."""
        stage = self.page.locator(".konvajs-content").first.bounding_box()
        left, top, width, height = self._video_in_stage()
        assert stage is not None
        return stage["x"] + left + x * width, stage["y"] + top + y * height

    def _video_in_stage(self) -> tuple[int, int, int, int]:
        """Return left, top, width and height of a video: in the middle, made to fit."""
        width, height = self.page.evaluate(
            "(({videoWidth, videoHeight}) => [videoWidth, videoHeight])"
            "(document.querySelector('video'))"
        )
        stage = self.page.locator(".konvajs-content").first.bounding_box()
        assert stage is not None
        fit = min(1.0, stage["width"] / width, stage["height"] / height)
        width, height = round(width * fit), round(height * fit)
        left, top = (stage["width"] - width) / 2, (stage["height"] - height) / 2
        return round(left), round(top), width, height

    def _on_image(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.locator("img[alt=image]").first.bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]
