"""What other programs say of the files that are written here, and what is read of theirs.

    pip install ome-types traccuracy ome-zarr; python benchmarks/formats.py

Tracks two daughters of one mother, and a cell with a gap, on a movie with times and pixel sizes,
writes every format, and asks each program that is there. Then reads what ome-zarr, tifffile,
Pillow and FFmpeg write.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from sam2_plugins.core.export import FORMATS, check_ctc, open_writers
from sam2_plugins.core.frames import open_frames
from sam2_plugins.core.masks import ObjectMask

FRAMES, SIZE = 12, (120, 160)
STEP, PIXEL = 30.0, 0.65
_ROWS, _COLUMNS = np.mgrid[: SIZE[0], : SIZE[1]]


def disc(x: int, y: int) -> ObjectMask:
    return ObjectMask.from_array((_ROWS - y) ** 2 + (_COLUMNS - x) ** 2 < 144)


def masks_on(t: int) -> dict[int | str, ObjectMask]:
    """A mother that divides after frame 5, and a cell that is not seen on frame 4."""
    if t < 6:
        found: dict[int | str, ObjectMask] = {"mother": disc(40 + 2 * t, 60)}
    else:
        found = {"a": disc(40 + 2 * t, 40), "b": disc(40 + 2 * t, 80)}
    return found if t == 4 else {**found, 2: disc(120, 60)}


def write_all(folder: Path) -> Path:
    facts = {"axes": "TYX", "TimeIncrement": STEP, "PhysicalSizeX": PIXEL, "PhysicalSizeY": PIXEL}
    source = folder / "movie.ome.tif"
    movie = np.stack([sum(m.to_array() for m in masks_on(t).values()) for t in range(FRAMES)])
    tifffile.imwrite(source, (movie > 0).astype(np.uint8) * 200, metadata=facts)
    parents: dict[int | str, int | str] = {"a": "mother", "b": "mother"}
    with (
        open_frames(source) as frames,
        open_writers(folder / "out", FORMATS, frames, ["mother", 2], parents=parents) as writers,
    ):
        for t in range(FRAMES):
            writers.write(t, frames[t].time, masks_on(t))
    return folder / "out"


def by_ffprobe(out: Path) -> str:
    command = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json"]
    done = subprocess.run([*command, str(out / "overlay.mp4")], capture_output=True, check=True)
    stream = json.loads(done.stdout)["streams"][0]
    assert int(stream["nb_read_frames"]) == FRAMES
    return f"{stream['codec_name']}, {stream['pix_fmt']}, {stream['nb_read_frames']} frames"


def by_tifffile(out: Path) -> str:
    with tifffile.TiffFile(out / "labels.tif") as tif:
        assert tif.is_ome
        assert tif.series[0].axes == "TYX"
        return f"OME-TIFF {tif.series[0].axes} {tif.series[0].shape} {tif.series[0].dtype}"


def by_ome_types(out: Path) -> str:
    pixels = importlib.import_module("ome_types").from_tiff(out / "labels.tif").images[0].pixels
    assert (pixels.size_t, pixels.time_increment, pixels.physical_size_x) == (FRAMES, STEP, PIXEL)
    return f"valid OME: {pixels.time_increment} s, {pixels.physical_size_x} µm"


def by_pycocotools(out: Path) -> str:
    with contextlib.redirect_stdout(io.StringIO()):
        coco = importlib.import_module("pycocotools.coco").COCO(str(out / "coco.json"))
    areas = sum(int(coco.annToMask(one).sum()) for one in coco.anns.values())
    assert areas == sum(mask.area for t in range(FRAMES) for mask in masks_on(t).values())
    return f"{len(coco.imgs)} images, {len(coco.anns)} annotations, every pixel as it was"


def by_csv(out: Path) -> str:
    with (out / "tracks.csv").open(encoding="utf-8", newline="") as file:
        return f"{len(list(csv.DictReader(file)))} rows"


def by_pillow(out: Path) -> str:
    with Image.open(out / "contact_sheet.png") as image:
        image.load()
        return f"{image.mode}, {image.size[0]} x {image.size[1]}"


def by_traccuracy(out: Path) -> str:
    load = importlib.import_module("traccuracy.loaders").load_ctc_data
    truth, found = (load(str(out / "ctc"), str(out / "ctc" / "res_track.txt")) for _ in range(2))
    results, _ = importlib.import_module("traccuracy").run_metrics(
        gt_data=truth,
        pred_data=found,
        matcher=importlib.import_module("traccuracy.matchers").CTCMatcher(),
        metrics=[importlib.import_module("traccuracy.metrics").CTCMetrics()],
    )
    scores = results[0]["results"]
    assert scores["TRA"] == scores["DET"] == 1
    return "its checks of the format pass, TRA and DET of it with itself are 1"


def by_rules(out: Path) -> str:
    assert check_ctc(out / "ctc") == []
    return "the format's rules, one by one"


def of_ome_zarr(folder: Path) -> str:
    zarr, writer = importlib.import_module("zarr"), importlib.import_module("ome_zarr.writer")
    formats = importlib.import_module("ome_zarr.format")
    movie = np.random.default_rng(0).integers(0, 255, (6, 1, 1, 48, 64)).astype(np.uint8)
    read = []
    for version in ("V04", "V05"):
        how = {"fmt": getattr(formats, f"Format{version}")(), "axes": "tczyx"}
        layout = 3 if version == "V05" else 2
        image = folder / f"{version}.zarr"
        writer.write_image(movie, zarr.open_group(str(image), mode="w", zarr_format=layout), **how)
        shutil.make_archive(str(image), "zip", image)
        plate = zarr.open_group(str(folder / f"plate{version}.zarr"), mode="w", zarr_format=layout)
        writer.write_plate_metadata(plate, ["A"], ["1"], ["A/1"], fmt=how["fmt"])
        well = plate.require_group("A/1")
        writer.write_well_metadata(well, ["0"], fmt=how["fmt"])
        writer.write_image(movie, well.require_group("0"), **how)
        read += [image, image.with_suffix(".zarr.zip"), folder / f"plate{version}.zarr"]
    for path in read:
        with open_frames(path) as frames:
            assert all(np.array_equal(f.image[..., 0], movie[f.index, 0, 0]) for f in frames)
    return f"{len(read)} stores of versions 0.4 and 0.5 (image, zip, plate), every pixel"


WRITTEN: dict[str, tuple[str, Callable[[Path], str]]] = {
    "overlay.mp4": ("ffprobe", by_ffprobe),
    "labels.tif": ("tifffile", by_tifffile),
    "labels.tif (metadata)": ("ome-types", by_ome_types),
    "coco.json": ("pycocotools", by_pycocotools),
    "tracks.csv": ("csv", by_csv),
    "contact_sheet.png": ("Pillow", by_pillow),
    "ctc/": ("traccuracy", by_traccuracy),
    "ctc/ (rules)": ("check_ctc", by_rules),
}


def answer(check: Callable[[Path], str], folder: Path) -> str:
    try:
        return check(folder)
    except (ImportError, FileNotFoundError) as error:
        return f"not there: {error}"


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        out = write_all(folder)
        rows: list[tuple[Any, ...]] = [
            (name, program, answer(check, out)) for name, (program, check) in WRITTEN.items()
        ]
        rows.append(("OME-Zarr, read", "ome-zarr", answer(of_ome_zarr, folder)))
        for row in rows:
            print("| " + " | ".join(row) + " |")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
