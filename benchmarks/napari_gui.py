"""What a person feels in napari: click to mask, frames per second, the window's longest gaps.

    xvfb-run -a python benchmarks/napari_gui.py [--frames 60] [--objects 300]

A real viewer with the dock and the synthetic sample; nano with one torch thread. A timer of the
window ticks every 10 ms while objects are tracked and another frame is shown: the time between two
ticks is how long the window was deaf. Memory is that of the process after a run over 2,000 frames
of 2048 x 2048, which are made when they are read. The many objects on 500 frames are drawn, not
tracked: what a person then does with them is timed, as is the first press of Click; beside each
longest gap is the longest time for which the window's thread itself was at work, which others' work
on the machine does not stretch.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import dask.array as da
import napari
import numpy as np
import psutil
import torch
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.training.synthetic import sample_timelapse

TICK_MS = 10


def until(condition: Callable[[], bool], seconds: float = 3000) -> None:
    """Let the window live until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("It took too long.")
        QApplication.processEvents()
        time.sleep(0.001)


def rest(seconds: float) -> None:
    """Let the window live for a while."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end)


def dock(movie: Any, **options: Any) -> tuple[Any, Any]:
    """Open a viewer with a movie and the dock."""
    viewer = napari.Viewer()
    viewer.add_image(movie, name="movie", **options)
    _, widget = viewer.window.add_plugin_dock_widget("sam2-plugins", "SAM 2")
    viewer.dims.set_point(0, 0)
    rest(1)
    return viewer, widget


def click(widget: Any, y: float, x: float) -> float:
    """Click on a new object, and return the seconds until its mask is there."""
    controller = widget.controller
    label = controller.new_object()
    space = controller.work.workspace
    rest(1.5)  # the model is loaded while a person looks for where to click
    began = time.perf_counter()
    space.points.add([*space.step, y, x])
    until(
        lambda: (
            space.store.get(space.step, label) is not None and not controller.prompting.answering
        )
    )
    return time.perf_counter() - began


class Ticks:
    """A timer of the window: the time between two of its ticks is how long the window was deaf."""

    def __init__(self) -> None:
        self._ticks: list[tuple[float, float]] = []
        self._timer = QTimer()
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK_MS)
        rest(0.5)
        self._ticks.clear()
        self._tick()

    def stop(self) -> np.ndarray:
        """Return the gaps, and the work of the window's thread in each, [n, 2] in ms."""
        self._timer.stop()
        return 1000 * np.diff(self._ticks, axis=0)

    def _tick(self) -> None:
        self._ticks.append((time.perf_counter(), time.thread_time()))


def watch(widget: Any, what: str, act: Callable[[], object]) -> None:
    """Do something, and print for how long the window was deaf."""
    ticks, began = Ticks(), time.perf_counter()
    act()
    until(lambda: not widget.jobs.busy)
    seconds = time.perf_counter() - began
    rest(1)
    gap, work = ticks.stop().max(0)
    print(f"  {what}: {gap:.0f} ms, at work {work:.0f} ms; all done after {seconds:.1f} s")


def gaps_while_tracking(widget: Any) -> tuple[np.ndarray, float]:
    """Milliseconds between the ticks of the window during a run, and frames a second."""
    ticks, began = Ticks(), time.perf_counter()
    widget.run.start("forward")
    until(lambda: not widget.controller.runs.running)
    seconds = time.perf_counter() - began
    return ticks.stop()[:, 0], widget.controller.length / seconds


def feel() -> None:
    """Click on five nuclei, track them, and print what it felt like."""
    movie, labels = sample_timelapse()
    movie = np.concatenate([movie, movie[::-1]] * 2)
    viewer, widget = dock(movie)
    until(lambda: not widget.jobs.busy)
    print("longest gap of the window:")
    watch(widget, "first press of Click", widget.tools.click.click)
    places = [np.argwhere(labels[0] == n).mean(0) for n in np.unique(labels[0])[1:6]]
    seconds = [click(widget, *place) for place in places]
    print(f"click to mask: first {seconds[0]:.2f} s, then {np.median(seconds[1:]):.2f} s")
    viewer.dims.set_point(0, len(movie) - 1)
    rest(0.5)
    gaps, rate = gaps_while_tracking(widget)
    middle, high, longest = np.percentile(gaps, (50, 95, 100))
    print(f"{len(places)} objects, {len(movie)} frames of 512 x 512: {rate:.1f} frames a second")
    print(
        f"gaps of the window, another frame shown: median {middle:.0f} ms, p95 {high:.0f} ms, "
        f"longest {longest:.0f} ms"
    )
    viewer.close()


def memory(frames: int) -> None:
    """Track one disc through a huge movie, and print how the memory grew."""
    y, x = np.mgrid[:2048, :2048]

    def frame(block_info: Any = None) -> np.ndarray:
        t = block_info[None]["chunk-location"][0]
        image = np.full((1, 2048, 2048), 300, np.uint16)
        image[0][np.hypot(x - 400 - t / 4, y - 500) < 20] = 3000
        return image

    chunks = ((1,) * frames, (2048,), (2048,))
    movie = da.map_blocks(frame, chunks=chunks, dtype=np.uint16, meta=np.zeros((0, 0, 0), "uint16"))
    viewer, widget = dock(movie, contrast_limits=(0, 3500))
    process = psutil.Process()
    click(widget, 500, 400)
    before = process.memory_info().rss
    quarters: dict[int, int] = {}

    def look(progress: Any) -> None:
        if progress is not None and progress.total:
            quarter = 4 * progress.done // progress.total
            quarters.setdefault(quarter, process.memory_info().rss)

    widget.controller.progressed.connect(look)
    gaps, rate = gaps_while_tracking(widget)
    store = widget.controller.work.workspace.store
    seen = sum(store.get(i, 1).visible for i in store.frames_of(1))
    grown = ", ".join(f"{size / 1e6:.0f}" for size in quarters.values())
    print(
        f"{frames} frames of 2048 x 2048, 16 bit: {before / 1e6:.0f} MB before the run, {grown} MB "
        f"at its quarters; {rate:.1f} frames a second; the disc is seen on {seen}; "
        f"gaps of the window: longest {max(gaps):.0f} ms, p95 {np.percentile(gaps, 95):.0f} ms"
    )
    viewer.close()


def many(objects: int, frames: int = 500) -> None:
    """Do things with many objects on many frames, and print for how long the window was deaf."""
    viewer, widget = dock(
        da.zeros((frames, 1024, 1024), np.uint8, chunks=(1, 1024, 1024)), contrast_limits=(0, 255)
    )
    control = widget.controller
    work = control.begin()
    space = work.workspace
    change = circling(space.store, objects, frames)
    space.names.update({label: f"object {label}" for label in range(1, objects + 1)})
    print(f"{objects} objects on {frames} frames, longest gap of the window:")
    watch(widget, "a run ends", lambda: work.history.record("run", change))
    watch(widget, "an object is selected", lambda: control.select(1))
    watch(widget, "another one", lambda: control.select(2))
    watch(widget, "tracks", lambda: control.tracks.draw(work))
    watch(widget, "tracks again", lambda: control.tracks.draw(work))
    watch(widget, "another frame", lambda: control.go_to_frame(frames // 2))
    watch(widget, "all objects in the strip", lambda: widget.strip_all.setChecked(True))
    watch(widget, "next doubtful frame of any", lambda: control.go_to_doubtful())
    watch(widget, "undo of the run", lambda: control.undo())
    watch(widget, "redo of the run", lambda: control.redo())
    viewer.close()


def circling(store: Any, objects: int, frames: int) -> dict[Any, Any]:
    """Put discs that go round into a store, some of which touch; return what takes that back."""
    crop = np.hypot(*np.mgrid[-12:13, -12:13]) < 12
    side = int(np.ceil(np.sqrt(objects)))
    pitch = 1000 // side
    change = {}
    for n in range(objects):
        for t in range(frames):
            dx, dy = (round(pitch / 4 * turn(t / 15 + n)) for turn in (np.sin, np.cos))
            x, y = n % side * pitch + pitch // 2 + dx - 12, n // side * pitch + pitch // 2 + dy - 12
            mask = ObjectMask(crop, (max(x, 0), max(y, 0)), store.frame_size, 0.9, 10.0)
            change[(t,), n + 1] = store.put((t,), n + 1, mask)
    return change


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=300, help="Of the many; 0: leave out.")
    parser.add_argument("--frames", type=int, default=2000, help="Of the huge movie; 0: leave out.")
    given = parser.parse_args()
    torch.set_num_threads(1)
    feel()
    if given.objects:
        many(given.objects)
    if given.frames:
        memory(given.frames)
