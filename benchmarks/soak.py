"""Long movies, many objects, kills at random moments, undo: whether tracking stays flat and exact.

    python benchmarks/soak.py                                       (all of it, small: minutes)
    python benchmarks/soak.py long --frames 2000 --side 2048
    python benchmarks/soak.py many --frames 50 --side 2048 --objects 100
    python benchmarks/soak.py kills --kills 20
    python benchmarks/soak.py undo --sequences 100

Movies are made while they are tracked, 16 bits a sample, with discs that drift on noise; nano
tracks them on the CPU. `kills` runs the command `track` in processes of their own, ends it after a
random number of frames by SIGKILL, SIGINT, SIGTERM or SIGHUP, gives the same
command again, and compares masks, scores, label images and the table with those of a run that
nobody ended.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from sam2_plugins.cli import app
from sam2_plugins.core.export import open_writers
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks.journal import read_journal
from sam2_plugins.core.operating_system import peak_megabytes, stop_signals, used_megabytes
from sam2_plugins.core.tracking.memory.policies import policies
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.core.tracking.run import TrackJournal, run
from sam2_plugins.core.tracking.tracker import VideoTracker

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # which Windows has not
PRELOADED = ["sam2_plugins.batch.tracking", "sam2_plugins.core.tracking.tracker"]
RADIUS = 12
_DISC = np.hypot(*np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]) <= RADIUS


class Discs:
    """A movie [T, Y, X] of discs that drift, made frame by frame."""

    dtype = np.dtype(np.uint16)

    def __init__(self, frames: int, side: int, objects: int) -> None:
        self.shape = (frames, side, side)
        rng = np.random.default_rng(0)
        self._ground = rng.normal(1200, 90, (side, side)).astype(np.uint16)
        grid = int(np.ceil(np.sqrt(objects)))
        places = np.stack(np.meshgrid(*[np.arange(grid)] * 2), -1).reshape(-1, 2)[:objects]
        self._centres = (places + 0.5) * side / grid
        self._phases = rng.uniform(0, 2 * np.pi, objects)
        self._reach = side / grid / 2 - 1.5 * RADIUS

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[np.uint16]:
        frame = int(key[0])
        image = np.roll(self._ground, (7 * frame, 11 * frame), (0, 1))
        for x, y in self.centres(frame):
            image[y - RADIUS : y + RADIUS + 1, x - RADIUS : x + RADIUS + 1][_DISC] += 1500
        return image[key[1:]]

    def centres(self, frame: int) -> NDArray[np.int_]:
        """Whole (x, y) of the discs, [n, 2]: each goes round a circle of its own."""
        angles = self._phases + frame / 40
        way = self._reach * 0.8 * np.stack([np.cos(angles), np.sin(angles)], -1)
        return (self._centres + way).round().astype(int)


def track_long(frames: int, side: int, objects: int) -> list[str]:
    """Track a movie to its end, with a journal and files as `track` has them."""
    movie, options = Discs(frames, side, objects), TrackingOptions("nano", "cpu")
    tracker = options.tracker(open_frames(movie, axes="TYX", limits=(900, 3000)))
    for obj, (x, y) in enumerate(movie.centres(0), 1):
        box = (x - RADIUS, y - RADIUS, x + RADIUS + 1, y + RADIUS + 1)
        tracker.add_prompt(0, obj, box=box)
    memory: list[int] = []
    moments = [time.perf_counter()]
    found = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        open_writers(folder, "tiff,csv", tracker.frames, tracker.objects) as writers,
        closing(run(tracker, options, [TrackJournal(Path(folder) / "masks.jsonl")])) as results,
    ):
        for result in results:
            writers.write(result.frame, result.time, result.masks)
            moments.append(time.perf_counter())
            memory.append(used_megabytes() or 0)
            for (x, y), mask in zip(
                movie.centres(result.frame), result.masks.values(), strict=True
            ):
                disc = mask.window((x - RADIUS, y - RADIUS, x + RADIUS + 1, y + RADIUS + 1))
                found += np.count_nonzero(disc & _DISC) > 0.8 * np.count_nonzero(_DISC)
    steps, tenth = np.diff(moments), max(1, frames // 10)
    pace = [f"{float(np.median(part)):.2f}" for part in (steps[1 : tenth + 1], steps[-tenth:])]
    room = [memory[at] for at in (tenth - 1, frames // 2, -1)]
    return [
        f"| {frames} frames of {side} × {side}, {objects} objects | {steps.sum():.0f} s; "
        f"{pace[0]} s a frame in the first tenth, {pace[1]} s in the last "
        f"| {room[0]} MB after a tenth, {room[1]} at half, {room[2]} at the end; "
        f"at most {peak_megabytes():.0f} | {found} of {frames * objects} discs covered |"
    ]


def track_with_kills(kills: int, frames: int, side: int, objects: int, seed: int) -> list[str]:
    """Kill `track` at random moments; a line for each memory policy and direction."""
    chance = random.Random(seed)
    ways = [*((name, "forward") for name in policies()), ("sam2", "both")]
    tried: dict[tuple[str, str], list[bool]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        movie = Discs(frames, side, objects)
        source = folder / "movie.tif"
        stack = np.stack([movie[frame, :, :] for frame in range(frames)])
        tifffile.imwrite(source, stack, metadata={"axes": "TYX"})
        for number, way in enumerate(islice(cycle(ways), kills)):
            whole, killed = folder / "-".join(way), folder / f"killed-{number}"
            start = frames // 2 if way[1] == "both" else 0
            arguments = _arguments(source, movie, start, way)
            if not whole.exists() and not _finish(_command(arguments, whole)):
                raise SystemExit(f"{way}: a run that nobody killed failed")
            journal = killed / "masks.jsonl"
            while not _kill(_command(arguments, killed), journal, chance, frames):
                shutil.rmtree(killed)  # it was done before
            done = _finish(_command(arguments, killed))
            is_equal = done and _content(killed) == _content(whole)
            tried[way].append(is_equal)
            verdict = "equal" if is_equal else "NOT equal"
            print(f"kill {number + 1}, {' '.join(way)}: {verdict}", flush=True)
    rows = [
        f"| {memory}, {direction} | {len(equal)} | {sum(equal)} |"
        for (memory, direction), equal in tried.items()
        if equal
    ]
    total = [one for equal in tried.values() for one in equal]
    return [*rows, f"| all | {len(total)} | {sum(total)} |"]


def _arguments(source: Path, movie: Discs, frame: int, way: tuple[str, str]) -> list[str]:
    memory, direction = way
    arguments = ["track", str(source), "--model", "nano", "--device", "cpu"]
    arguments += ["--memory", memory, "--direction", direction, "--format", "tiff,csv"]
    for obj, (x, y) in enumerate(movie.centres(frame), 1):
        arguments += ["--click", f"{x},{y},{frame},{obj}"]
    return arguments


def _command(arguments: Sequence[str], out: Path) -> Any:
    """Make a process that runs a command of ours; those after the first need import nothing."""
    ways = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in ways else "spawn")
    if "forkserver" in ways:
        context.set_forkserver_preload(PRELOADED)
    return context.Process(target=_run, args=([*arguments, "--out", str(out)],))


def _run(arguments: list[str]) -> None:
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        sys.stdout = sys.stderr = nowhere
        app(arguments)


def _finish(process: Any) -> bool:
    process.start()
    process.join()
    return process.exitcode == 0


def _kill(process: Any, journal: Path, chance: random.Random, frames: int) -> bool:
    """Start a run, and end it after a random number of frames; tell whether it was at work."""
    wanted, more = chance.randrange(frames - 1), chance.random()
    process.start()
    while process.is_alive() and _lines(journal) <= wanted:
        time.sleep(0.01)
    time.sleep(more * 0.3)  # anywhere within a frame
    if process.is_alive():
        os.kill(process.pid, chance.choice((_KILL, _KILL, *stop_signals())))
    process.join()
    return process.exitcode != 0


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _content(folder: Path) -> tuple[object, ...]:
    """What a run came to: masks with their scores, label images, and the table."""
    masks = {
        (masklet.obj, frame): (mask, mask.iou, mask.score)
        for masklet in read_journal(folder / "masks.jsonl").masklets()
        for frame, mask in masklet.masks.items()
    }
    labels = tifffile.imread(folder / "labels.tif").tobytes()
    return masks, labels, (folder / "tracks.csv").read_bytes()


def try_undo(sequences: int, frames: int, side: int, objects: int, seed: int) -> list[str]:
    """Change prompts at random, track between, undo all and do all again; compare each state."""
    movie, options = Discs(frames, side, objects), TrackingOptions("nano", "cpu")
    changes = steps = equal = 0
    for number in range(sequences):
        chance = random.Random((seed << 16) + number)
        tracker = options.tracker(open_frames(movie, axes="TYX", limits=(900, 3000)))
        before: list[tuple[int, tuple[object, ...]]] = []
        after: list[tuple[int, tuple[object, ...]]] = []
        for _ in range(chance.randrange(2, 9)):
            obj = chance.randrange(objects)
            if tracker.objects and chance.random() < 0.3:
                for _ in tracker.propagate(stop=chance.randrange(1, frames)):
                    pass
            before.append((obj, _state(tracker, obj)))
            _change(tracker, movie, obj, chance)
        for obj, state in reversed(before):
            after.append((obj, _state(tracker, obj)))  # with what was tracked since the change
            tracker.undo_prompt()
            equal += _state(tracker, obj) == state
        for obj, state in reversed(after):
            tracker.redo_prompt()
            equal += _state(tracker, obj) == state
        changes += len(before)
        steps += 2 * len(before)
    return [f"| {sequences} sequences of {changes} changes | {steps} undone and redone | {equal} |"]


def _change(tracker: VideoTracker, movie: Discs, obj: int, chance: random.Random) -> None:
    """Click, draw a box, take a prompt or an object away."""
    frame = chance.randrange(movie.shape[0])
    prompted = [prompt.frame for prompt in tracker.prompts if prompt.obj == obj]
    x, y = (float(one) for one in movie.centres(frame)[obj])
    what = chance.choices(("click", "box", "frame", "object"), (6, 2, 1, 1))[0]
    if what == "frame" and prompted:
        tracker.remove_prompt(chance.choice(prompted), obj)
    elif what == "object" and prompted:
        tracker.remove_object(obj)
    elif what == "box":
        tracker.add_prompt(frame, obj, box=(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS))
    else:
        away = chance.choice((0, 0, 0, 2 * RADIUS))
        tracker.add_prompt(frame, obj, points=[(x + away, y)], labels=[0 if away else 1])


def _state(tracker: VideoTracker, obj: int) -> tuple[object, ...]:
    """All that is to be seen of an object: its prompts, and its masks with their scores."""
    masklet = tracker.masklets().get(obj)
    masks = {} if masklet is None else masklet.masks
    prompts = tuple(prompt for prompt in tracker.prompts if prompt.obj == obj)
    return prompts, {f: (mask, str(mask.iou), str(mask.score)) for f, mask in masks.items()}


TRIES: dict[str, Callable[..., list[str]]] = {
    "long": track_long,
    "many": track_long,
    "kills": track_with_kills,
    "undo": try_undo,
}


def main() -> None:
    """Run what was chosen, and print it as rows of a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", nargs="?", choices=("long", "many", "kills", "undo"))
    for name in ("frames", "side", "objects", "kills", "sequences", "seed"):
        parser.add_argument(f"--{name}", type=int)
    given = {k: v for k, v in vars(parser.parse_args()).items() if v is not None}
    what = given.pop("what", None)
    small = {
        "long": {"frames": 60, "side": 512, "objects": 4},
        "many": {"frames": 4, "side": 512, "objects": 36},
        "kills": {"frames": 40, "side": 160, "objects": 2, "kills": 4, "seed": 0},
        "undo": {"frames": 5, "side": 160, "objects": 3, "sequences": 10, "seed": 0},
    }
    for name in small if what is None else (what,):
        how = {**small[name], **{k: v for k, v in given.items() if k in small[name]}}
        began = time.perf_counter()
        rows = TRIES[name](**how)
        print(*rows, sep="\n")
        print(f"({name}: {time.perf_counter() - began:.0f} s)")


if __name__ == "__main__":
    main()
