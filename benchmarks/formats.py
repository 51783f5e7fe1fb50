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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

import av
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sam2_plugins.core.errors import Sam2PluginsError
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


@dataclass(frozen=True)
class Odd:
    """A file that somebody may bring.

    Attributes
    ----------
    kind
        Its row of the table.
    path
        Where it is.
    truth
        What is to be seen, uint8 [T, H, W, 3]; None: it is to be refused.
    options
        Of `open_frames`.
    tolerance
        Mean difference that its compression costs.
    """

    kind: str
    path: Path
    truth: NDArray[np.uint8] | None
    options: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1.0


Samples = NDArray[Any]
SHADES = (
    (_ROWS[:24, :32] * 5 + _COLUMNS[:24, :32] * 3)[None] + np.arange(5)[:, None, None] * 17
) % 256
PICTURES = {
    "PNG": (".png", ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), {}),
    "JPEG": (".jpg", ("L", "RGB", "CMYK"), {"quality": 95, "subsampling": 0}),
    "BMP": (".bmp", ("1", "L", "P", "RGB"), {}),
    "WebP": (".webp", ("RGB", "RGBA"), {"lossless": True, "exact": True}),
    "AVIF": (".avif", ("L", "RGB"), {"quality": 95, "subsampling": "4:4:4"}),
    "JPEG 2000": (".jp2", ("L", "RGB", "I;16"), {}),
    "Netpbm": (".ppm", ("1", "L", "RGB", "I;16"), {}),
    "TIFF, a picture": (".tif", ("1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"), {}),
}
LOSSY = {"JPEG": 4.0, "AVIF": 4.0}
CODECS = {
    ".mp4": ("libx264", "yuv420p"),
    ".mov": ("libx264", "yuv444p"),
    ".avi": ("mpeg4", "yuv420p"),
    ".webm": ("libvpx-vp9", "yuv420p"),
    ".mkv": ("ffv1", "gray"),
    ".nut": ("ffv1", "gray16le"),
    ".ts": ("mpeg2video", "yuv420p"),
    ".gif": ("gif", "gray"),
}
TOLD = ("stands in", "decode with errors", "its axes are read as")
"""Of frames that are not as they were: notes that say so."""

FOREIGN = (
    *(".czi", ".nd2", ".lif", ".oib", ".oif", ".vsi", ".dv", ".ims", ".mrc", ".zvi", ".ics"),
    *(".h5", ".npz", ".mat", ".pkl", ".nef", ".cr2", ".dng", ".m3u8", ".mpd", ".sdp", ".txt"),
)


def as_seen(samples: Samples, most: float = 255) -> NDArray[np.uint8]:
    """Bring samples [T, H, W] or [T, H, W, 3] to uint8 RGB by the plainest rule."""
    shades = (samples.astype(np.float64) / most * 255).round().clip(0, 255).astype(np.uint8)
    colours = shades[..., None] if shades.ndim == 3 else shades
    return np.broadcast_to(colours[..., :3], (*shades.shape[:3], 3))


def coloured(samples: Samples) -> Samples:
    """Make three channels that differ."""
    return np.stack([samples, samples[:, ::-1], samples[:, :, ::-1]], axis=-1)


def pictures(folder: Path) -> Iterator[Odd]:
    """Single pictures of every mode, and folders of them."""
    for kind, (suffix, modes, how) in PICTURES.items():
        for mode in modes:
            inner = folder / f"{suffix[1:]}-{mode.replace(';', '')}"
            inner.mkdir()
            images = [in_mode(image, mode) for image in SHADES.astype(np.uint8)]
            for number, image in enumerate(images):
                image.save(inner / f"t{number}{suffix}", **how)
            most = {"I;16": 65535.0, "F": 1.0}.get(mode)
            options = {} if most is None else {"limits": (0.0, most)}
            shown = [
                np.asarray(image.convert("RGB") if most is None else image) for image in images
            ]
            truth = as_seen(np.stack(shown), most or 255)
            given = {"options": options, "tolerance": LOSSY.get(kind, 1.0)}
            yield Odd(kind, inner, truth, **given)
            yield Odd(kind, inner / f"t2{suffix}", truth[2:3], **given)


def in_mode(shades: NDArray[np.uint8], mode: str) -> Image.Image:
    """Make a picture of a mode, whose pixels say the same."""
    if mode == "I;16":
        return Image.fromarray(shades.astype(np.uint16) * 257)
    if mode == "F":
        return Image.fromarray(shades.astype(np.float32) / 255)
    if mode in ("L", "LA", "1"):
        return Image.fromarray(shades).convert(mode)
    return Image.fromarray(coloured(shades[None])[0]).convert("RGB").convert(mode)


def stacks(folder: Path) -> Iterator[Odd]:
    """TIFF stacks of every type of samples, arrangement of axes, compression and program."""
    types = ("uint8", "uint16", "uint32", "int16", "float32", "float64")
    layouts = ("TYX", "TCYX", "TZYX", "TYXS")
    ways = product(("plain", "OME", "ImageJ", "BigTIFF"), types, layouts, (None, "zlib", "lzw"))
    for number, (way, kind, axes, compression) in enumerate(ways):
        if way == "ImageJ" and (kind not in ("uint8", "uint16", "float32") or compression):
            continue
        if way == "ImageJ" and axes == "TYXS" and kind != "uint8":
            continue
        most = {"uint8": 255.0, "float32": 1.0, "float64": 1.0}.get(kind, 30000.0)
        samples = (SHADES / 255 * most).astype(kind)
        truth, data = as_seen(samples, most), samples
        if axes != "TYX":
            truth = as_seen(coloured(samples), most)
            data = np.moveaxis(coloured(samples), -1, 1) if axes != "TYXS" else coloured(samples)
        options: dict[str, Any] = {} if kind == "uint8" else {"limits": (0.0, most)}
        if axes == "TZYX":
            options["z"], truth = 1, as_seen(samples[:, ::-1], most)
        if way in ("plain", "BigTIFF"):
            options["axes"] = axes.replace("S", "C")
        path = folder / f"{number}.{'dat' if number % 7 == 0 else 'tif'}"
        tifffile.imwrite(
            path,
            data,
            imagej=way == "ImageJ",
            ome=way == "OME",
            bigtiff=way == "BigTIFF",
            compression=compression,
            photometric="rgb" if axes == "TYXS" else "minisblack",
            metadata={"axes": axes},
        )
        yield Odd(f"TIFF stack, {way}", path, truth, options)


def arrays(folder: Path) -> Iterator[Odd]:
    """Arrays of every type, as .npy and as zarr."""
    for kind in ("bool", "uint8", "uint16", "int32", "int64", "float16", "float32", "float64"):
        most = {"bool": 1.0, "uint8": 255.0}.get(kind, 1.0 if kind[0] == "f" else 30000.0)
        samples = SHADES > 127 if kind == "bool" else (SHADES / 255 * most).astype(kind)
        options: dict[str, Any] = {} if kind in ("bool", "uint8") else {"limits": (0.0, most)}
        for axes in ("TYX", "TYXC"):
            data = samples if axes == "TYX" else coloured(samples)
            path = folder / f"{kind}-{axes}.npy"
            np.save(path, data)
            yield Odd(".npy", path, as_seen(data, most), {**options, "axes": axes})
            for version in (2, 3):
                store = folder / f"{kind}-{axes}-{version}.zarr"
                zarr = importlib.import_module("zarr")
                zarr.save_array(str(store), data, zarr_format=version)
                yield Odd("Zarr", store, as_seen(data, most), {**options, "axes": axes})


def films(folder: Path) -> Iterator[Odd]:
    """Videos and animations, of which every frame is to be found by its number."""
    large = SHADES.repeat(4, 1).repeat(4, 2).astype(np.uint8)
    for suffix, (codec, form) in CODECS.items():
        path = folder / f"m{suffix}"
        with av.open(str(path), "w") as container:
            stream: Any = container.add_stream(codec, rate=10)
            stream.height, stream.width = large.shape[1:]
            stream.pix_fmt = form
            stream.options = {"crf": "10"} if codec.startswith("lib") else {"qscale": "2"}
            for image in as_seen(large):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
            container.mux(stream.encode(None))
        yield Odd("video", path, as_seen(large), {}, 6.0)
    images = [Image.fromarray(image) for image in as_seen(SHADES)]
    for suffix, how in ((".png", {}), (".webp", {"lossless": True})):
        path = folder / f"animated{suffix}"
        images[0].save(path, save_all=True, append_images=images[1:], duration=50, **how)
        yield Odd("animation", path, as_seen(SHADES))


def peculiar(folder: Path) -> Iterator[Odd]:
    """Pictures that lie on their side, and samples that are stored in unusual ways."""
    shades = SHADES.astype(np.uint8)
    colours = coloured(shades)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        upright = as_seen(np.stack([_turned(image, orientation) for image in shades]))
        for suffix, how in ((".png", {}), (".webp", {"lossless": True}), (".jpg", {"quality": 98})):
            path = folder / f"{orientation}{suffix}"
            Image.fromarray(shades[0]).convert("RGB").save(path, exif=exif, **how)
            yield Odd("lying pictures", path, upright[:1], {}, 2.0)
        path = folder / f"{orientation}.tif"
        tag = (274, "H", 1, orientation, True)
        tifffile.imwrite(path, shades, extratags=[tag], photometric="minisblack")
        yield Odd("lying pictures", path, upright)
    grey = np.broadcast_to(as_seen(shades), colours.shape)
    with_alpha = np.concatenate([colours, shades[..., None]], axis=-1)
    palettes = [Image.fromarray(image).quantize(16) for image in colours]
    ways: dict[str, tuple[Samples, Samples, dict[str, Any], dict[str, Any]]] = {
        "planes": (np.moveaxis(colours, -1, 1), colours, {"planarconfig": "separate", **_RGB}, {}),
        "opacity": (with_alpha, colours, {"extrasamples": ["unassalpha"], **_RGB}, {}),
        "tiles": (shades, grey, {"tile": (16, 16), **_GREY}, {}),
        "strips, big-endian": (shades, grey, {"rowsperstrip": 5, "byteorder": ">", **_GREY}, {}),
        "predictor": (shades, grey, {"compression": "zlib", "predictor": True, **_GREY}, {}),
        "white is 0": (255 - shades, grey, _WHITE, {}),
        "white is 0, 1 bit": (shades < 128, as_seen((shades >= 128) * 255), _WHITE, {}),
        "white is 0, 16 bits": (
            (65535 - shades.astype(np.uint16) * 257), grey, _WHITE, {"limits": (0, 65535)}
        ),
        "white is 0, signed": (-1 - shades.astype(np.int16), grey, _WHITE, {"limits": (0, 255)}),
        "signed": (shades.astype(np.int16) - 128, grey, _GREY, {"limits": (-128, 127)}),
        "time last": (np.moveaxis(shades, 0, -1), grey, {**_GREY, "metadata": {"axes": "YXT"}}, {}),
    }  # fmt: skip
    for name, (data, seen, how, options) in ways.items():
        path = folder / f"{name}.tif"
        tifffile.imwrite(path, data, **how)
        yield Odd("unusual TIFFs", path, as_seen(seen), options)
    path = folder / "own palettes.tif"
    palettes[0].save(path, save_all=True, append_images=palettes[1:])
    yield Odd("unusual TIFFs", path, np.stack([np.asarray(one.convert("RGB")) for one in palettes]))
    for suffix, mode in (("LA", "LA"), ("YCbCr", "YCbCr")):
        image = Image.fromarray(colours[0]).convert("L" if mode == "LA" else "RGB")
        path = folder / f"{suffix}.tif"
        image.convert(mode).save(path)
        yield Odd("unusual TIFFs", path, np.asarray(image.convert("RGB"))[None], {}, 3.0)
    path = folder / "page by page.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(shades[0, ::4, ::4], subfiletype=1)
        for image in shades:
            writer.write(image, contiguous=False)
    yield Odd("unusual TIFFs", path, as_seen(shades))


_RGB, _GREY, _WHITE = ({"photometric": kind} for kind in ("rgb", "minisblack", "miniswhite"))


def _turned(image: Samples, orientation: int) -> Samples:
    """Turn and mirror as EXIF says."""
    picture = Image.fromarray(image)
    picture.getexif()[274] = orientation
    return np.asarray(ImageOps.exif_transpose(picture))


def strangers(folder: Path) -> Iterator[Odd]:
    """What is not read, but refused with what to type."""
    rng = np.random.default_rng(0)
    for suffix in FOREIGN:
        path = folder / f"stranger{suffix}"
        path.write_bytes(b"#EXTM3U\n" if suffix == ".m3u8" else rng.bytes(4096))
        yield Odd("other formats", path, None)


def damaged(odd: Odd, folder: Path) -> Iterator[Odd]:
    """The same file cut short at several places, without its head, or empty."""
    whole = odd.path.read_bytes()
    cuts = [whole[: int(len(whole) * share)] for share in (0, 0.05, 0.3, 0.5, 0.7, 0.9, 0.98)]
    for number, content in enumerate([*cuts, bytes(64) + whole[64:]]):
        path = folder / f"{odd.path.stem}-{number}{odd.path.suffix}"
        path.write_bytes(content)
        yield replace(odd, path=path)


def verdict(odd: Odd) -> str:
    """Read a file, and say what came of it."""
    try:
        with open_frames(odd.path, **odd.options) as frames:
            seen = [(frame.index, frame.image) for frame in frames]
            notes = frames.warnings
    except Sam2PluginsError as error:
        return "refused by name" if odd.path.name in str(error) else "refused without its name"
    except Exception as error:
        return f"{type(error).__name__}"
    if odd.truth is None:
        return "silently wrong"
    alike = [
        index < len(odd.truth) and _is_alike(image, odd.truth[index], odd) for index, image in seen
    ]
    if len(seen) == len(odd.truth) and all(alike):
        return "read correctly"
    # The last frame of a film that is cut off is often half there.
    is_told = notes and (all(alike[:-1]) or any(told in note for told in TOLD for note in notes))
    return "read with a warning" if is_told else "silently wrong"


def _is_alike(image: NDArray[np.uint8], truth: NDArray[np.uint8], odd: Odd) -> bool:
    if image.shape != truth.shape:
        return False
    return float(np.abs(image.astype(float) - truth).mean()) <= odd.tolerance


def try_odd_files(folder: Path) -> list[tuple[str, ...]]:
    """Try whole and damaged files of every kind; return the rows of the table."""
    verdicts = ("read correctly", "read with a warning", "refused by name")
    whole: dict[str, Counter[str]] = {}
    broken: dict[str, Counter[str]] = {}
    for make in (pictures, stacks, peculiar, arrays, films, strangers):
        inner = folder / make.__name__
        inner.mkdir()
        for number, odd in enumerate(make(inner)):
            tried = [(whole, odd)]
            if odd.truth is not None and odd.path.is_file():
                cut = inner / f"damaged-{number}"
                cut.mkdir()
                tried += [(broken, one) for one in damaged(odd, cut)]
            for counts, one in tried:
                result = verdict(one)
                counts.setdefault(one.kind, Counter())[result] += 1
                if result not in verdicts or (
                    counts is whole and one.truth is not None and result != "read correctly"
                ):
                    print(f"{one.path.relative_to(folder)}: {result}")
    rows = []
    for what, counts in (("", whole), (", damaged", broken)):
        for kind, count in counts.items():
            other = count.total() - sum(count[name] for name in verdicts)
            numbers = [count.total(), *(count[name] for name in verdicts), other]
            rows.append((f"{kind}{what}", *map(str, numbers)))
    columns = [sum(int(row[k]) for row in rows) for k in range(1, 6)]
    return [*rows, ("all", *map(str, columns))]


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        print(
            "| files | tried | read correctly | read with a warning | refused by name | otherwise |"
        )
        print_rows(try_odd_files(folder))
        out = write_all(folder)
        rows: list[tuple[Any, ...]] = [
            (name, program, answer(check, out)) for name, (program, check) in WRITTEN.items()
        ]
        rows.append(("OME-Zarr, read", "ome-zarr", answer(of_ome_zarr, folder)))
        print_rows(rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def print_rows(rows: Iterable[tuple[str, ...]]) -> None:
    for row in rows:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
