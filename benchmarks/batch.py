"""Throughput of `batch` against workers, what a killed worker costs, and what sizing needs to know.

    python benchmarks/batch.py [--videos 8 --frames 60 --objects 4] [--plot FILE]

Movies are synthetic, 256 x 256, tracked by nano with one torch thread a worker. Ratios within one
run are what counts: other work on the machine moves the seconds.
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from distributed import Client, LocalCluster

from sam2_plugins.batch import Job, Progress, Report, Settings, run_batch
from sam2_plugins.core.checkpoints import load_model
from sam2_plugins.core.masks.journal import BLOCK
from sam2_plugins.core.prompts import Prompt

SIDE, RADIUS = 256, 12
SETTINGS = Settings(device="cpu", threads=1, formats=("tiff", "coco", "csv"))


def make_jobs(folder: Path, videos: int, frames: int, objects: int) -> list[Job]:
    """Discs on noise that move a little, and a box around each on the first frame."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    grid = int(np.ceil(np.sqrt(objects)))
    centres = (np.stack(np.meshgrid(*[np.arange(grid)] * 2), -1).reshape(-1, 2)[:objects] + 0.5) * (
        SIDE / grid
    )
    jobs = []
    for number in range(videos):
        movie = rng.normal(30, 6, (frames, SIDE, SIDE))
        for frame in range(frames):
            for cx, cy in centres + 3 * np.sin(frame / 5):
                movie[frame][np.hypot(x - cx, y - cy) < RADIUS] += 120
        path = folder / f"{number:02d}.tif"
        tifffile.imwrite(path, movie.clip(0, 255).astype(np.uint8), metadata={"axes": "TYX"})
        boxes = np.concatenate([centres - RADIUS, centres + RADIUS], axis=1).clip(0, SIDE)
        prompts = tuple(Prompt.of(0, obj, box=box) for obj, box in enumerate(boxes, 1))
        jobs.append(Job(path.stem, str(path), prompts))
    return jobs


def timed(jobs: list[Job], out: Path, client: Client | None, kill: bool = False) -> float:
    """Seconds of a batch; with `kill`, the first worker at half of a video is killed with -9."""
    began = time.perf_counter()
    for event in run_batch(jobs, SETTINGS, out, client=client):
        if isinstance(event, Report) and event.state != "done":
            raise SystemExit(f"{event.name}: {event.error}")
        if kill and client and isinstance(event, Progress) and 2 * event.done >= (event.total or 0):
            pids, busy = client.run(os.getpid), client.processing()
            at_it = [w for w, keys in busy.items() if any(k.startswith(event.name) for k in keys)]
            if at_it:
                os.kill(pids[at_it[0]], signal.SIGKILL)
                kill = False
    return time.perf_counter() - began


def on_cluster(workers: int, jobs: list[Job], out: Path, warm: Job, kill: bool = False) -> float:
    """Seconds of a batch on warm workers of this machine."""
    cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        # Each worker imports torch and loads its model before anything counts.
        client.run(load_model, SETTINGS.model, "cpu")
        timed([warm], out / "warm", client)
        return timed(jobs, out / "timed", client, kill)


def plot(rates: dict[int, float], path: Path) -> None:
    """Draw videos per minute against workers."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    workers = list(rates)
    figure, axes = plt.subplots(figsize=(4.5, 3.2), layout="constrained")
    axes.plot(workers, [rates[1] * n for n in workers], "--", color="0.6", label="proportional")
    axes.plot(workers, list(rates.values()), "o-", label="measured")
    axes.set(xlabel="workers", ylabel="videos per minute", xticks=workers, ylim=(0, None))
    axes.set_title("sam2-plugins batch, nano, one thread a worker", fontsize=10)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    for name, default in (("videos", 8), ("frames", 60), ("objects", 4), ("workers", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    began = time.perf_counter()
    load_model(SETTINGS.model, "cpu")
    print(f"model load: {time.perf_counter() - began:.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        warm = make_jobs(top, 1, 4, 1)[0]
        jobs = make_jobs(top, given.videos, given.frames, given.objects)
        rates = {}
        for workers in range(1, given.workers + 1):
            seconds = on_cluster(workers, jobs, top / f"{workers}", warm)
            rates[workers] = 60 * given.videos / seconds
            per_frame = seconds * workers / given.videos / given.frames
            print(
                f"{workers} workers: {rates[workers]:.1f} videos a minute, "
                f"{rates[workers] / rates[1]:.2f} times one worker; "
                f"{per_frame:.3f} worker-seconds a frame"
            )
        killed = on_cluster(given.workers, jobs, top / "killed", warm, kill=True)
        whole = 60 * given.videos / rates[given.workers]
        print(
            f"one worker killed at half of a video: {killed - whole:+.1f} s of {whole:.1f} s, with "
            f"a new process; at most {BLOCK} frames are computed again"
        )
        results = list((top / "1/timed").iterdir())
        masks = given.videos * given.frames * given.objects
        for name in ("labels.tif", "coco.json", "tracks.csv"):
            size = sum((result / name).stat().st_size for result in results)
            print(f"{name}: {size / masks:.0f} bytes a mask")
    if given.plot:
        plot(rates, given.plot)


if __name__ == "__main__":
    main()
