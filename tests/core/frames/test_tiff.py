from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import FrameSource, open_frames
from sam2_plugins.core.frames._array import ArraySource
from tests.core.frames.movies import cut

RANGE = (0, 65535)


def noise(*shape: int, dtype: str = "uint16") -> NDArray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(dtype)


def write(path: Path, data: NDArray, axes: str | None = None, **options: Any) -> Path:
    metadata = {**options.pop("metadata", {}), **({"axes": axes} if axes else {})}
    tifffile.imwrite(path, data, metadata=metadata, **options)
    return path


def shows(source: FrameSource, k: int, plane: NDArray, channel: int = 0) -> bool:
    return np.array_equal(source[k].image[..., channel], plane)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
def test_a_stack_is_read_in_any_order(tmp_path: Path, compression: str | None) -> None:
    movie = noise(6, 20, 30, dtype="uint8")
    path = write(tmp_path / "m.ome.tif", movie, "TYX", compression=compression)
    source = open_frames(path)
    assert (source.kind, source.axes, len(source)) == ("tiff", "TYX", 6)
    for k in (5, 0, 3):
        assert shows(source, k, movie[k])


def test_only_the_page_asked_for_is_read(tmp_path: Path) -> None:
    movie = noise(6, 20, 30, dtype="uint8")
    path = write(tmp_path / "m.ome.tif", movie, "TYX", compression="zlib")
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[4]
        start, size = page.dataoffsets[0], page.databytecounts[0]
    content = bytearray(path.read_bytes())
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    source = open_frames(path)
    assert [shows(source, k, movie[k]) for k in (0, 1, 2, 3, 5)] == [True] * 5
    with pytest.raises(FrameSourceError, match=r"Frame 4 of m\.ome\.tif cannot be read"):
        source[4]


def test_time_depth_and_channel_are_taken_from_ome(tmp_path: Path) -> None:
    movie = noise(3, 4, 2, 20, 30, dtype="uint8")
    source = open_frames(write(tmp_path / "m.ome.tif", movie, "TZCYX"), z=1)
    assert (source.axes, len(source)) == ("TZCYX", 3)
    for k in (2, 0):
        assert shows(source, k, movie[k, 1, 0], 0)
        assert shows(source, k, movie[k, 1, 1], 1)
    assert shows(open_frames(tmp_path / "m.ome.tif", channels=[1], z=3), 2, movie[2, 3, 1])


def test_a_stack_in_depth_only_is_a_movie(tmp_path: Path) -> None:
    movie = noise(5, 20, 30, dtype="uint8")
    source = open_frames(write(tmp_path / "z.ome.tif", movie, "ZYX"))
    assert len(source) == 5
    assert shows(source, 4, movie[4])


def test_imagej_stacks_and_their_interval_are_read(tmp_path: Path) -> None:
    movie = noise(5, 2, 20, 30)
    path = write(
        tmp_path / "ij.tif", movie, "TCYX", imagej=True, metadata={"finterval": 30, "tunit": "sec"}
    )
    source = open_frames(path, limits=RANGE)
    assert (source.axes, len(source)) == ("TCYX", 5)
    assert source[3].time == pytest.approx(90)
    assert source.fps == pytest.approx(1 / 30)


def test_the_ome_interval_is_in_seconds(tmp_path: Path) -> None:
    metadata = {"TimeIncrement": 250, "TimeIncrementUnit": "ms"}
    source = open_frames(write(tmp_path / "m.ome.tif", noise(5, 20, 30), "TYX", metadata=metadata))
    assert source.times.tolist() == [0, 0.25, 0.5, 0.75, 1]


def test_times_are_read_wherever_the_axis_of_time_is(tmp_path: Path) -> None:
    for axes, shape in {"CTYX": (2, 5, 20, 30), "ZTYX": (3, 5, 20, 30)}.items():
        path = tmp_path / f"{axes}.ome.tif"
        write(path, noise(*shape), axes, metadata={"TimeIncrement": 2})
        assert open_frames(path).times.tolist() == [0, 2, 4, 6, 8]


def test_measured_plane_times_are_preferred_to_the_interval(tmp_path: Path) -> None:
    planes = {"DeltaT": [10.0, 11.5, 20.0], "DeltaTUnit": ["s"] * 3}
    metadata = {"TimeIncrement": 1, "Plane": planes}
    source = open_frames(write(tmp_path / "m.ome.tif", noise(3, 20, 30), "TYX", metadata=metadata))
    assert source.times.tolist() == [0, 1.5, 10]


def test_colour_pages_stay_colour(tmp_path: Path) -> None:
    movie = noise(4, 20, 30, 3, dtype="uint8")
    source = open_frames(write(tmp_path / "rgb.tif", movie, photometric="rgb"))
    assert len(source) == 4
    assert np.array_equal(source[3].image, movie[3])


def test_a_big_tiff_of_tiles_is_read(tmp_path: Path) -> None:
    movie = noise(4, 64, 96, dtype="uint8")
    path = write(
        tmp_path / "t.tif", movie, "TYX", bigtiff=True, tile=(32, 32), photometric="minisblack"
    )
    assert shows(open_frames(path), 2, movie[2])


def test_a_run_of_planes_under_one_page_is_mapped(tmp_path: Path) -> None:
    movie = noise(5, 20, 30, dtype="uint8")
    path = tmp_path / "one.tif"
    tifffile.imwrite(path, movie, imagej=True, metadata={"axes": "TYX"})
    with tifffile.TiffFile(path) as tif:
        assert len(tif.pages) == 1 or tif.series[0].dataoffset is not None
    source = open_frames(path)
    assert len(source) == 5
    assert shows(source, 4, movie[4])


def write_set(folder: Path, *, by_channel: bool = False) -> NDArray:
    """Write an OME-TIFF of two files: four frames, or one file for each of two channels."""
    movie = noise(4, 20, 30, dtype="uint8")
    names = ["first.ome.tif", "second.ome.tif"]
    channels, times = (2, 2) if by_channel else (1, 4)
    blocks = "".join(
        f'<TiffData FirstC="{t // times}" FirstT="{t % times}" IFD="{t % 2}" PlaneCount="1">'
        f'<UUID FileName="{names[t // 2]}">'
        f"urn:uuid:0000000{t // 2}-0000-0000-0000-000000000000</UUID></TiffData>"
        for t in range(4)
    )
    for k, name in enumerate(names):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:0000000{k}-0000-0000-0000-000000000000"><Image ID="Image:0">'
            '<Pixels ID="Pixels:0" DimensionOrder="XYZTC" Type="uint8" SizeX="30" SizeY="20" '
            f'SizeC="{channels}" SizeZ="1" SizeT="{times}">{blocks}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            folder / name, movie[2 * k : 2 * k + 2], description=xml, metadata=None, ome=False
        )
    return movie


@pytest.mark.filterwarnings("error:.*closed file:UserWarning")
@pytest.mark.parametrize("name", ["first.ome.tif", "second.ome.tif", "."])
def test_files_of_one_ome_set_are_one_movie(tmp_path: Path, name: str) -> None:
    movie = write_set(tmp_path)
    source = open_frames(tmp_path / name)
    assert (len(source), source.warnings) == (4, ())
    assert [shows(source, k, movie[k]) for k in (3, 0, 2)] == [True] * 3


@pytest.mark.parametrize(("gone", "shown"), [("first", [2, 2, 2, 3]), ("second", [0, 1, 1, 1])])
def test_for_a_file_that_is_missing_of_a_set_others_stand_in_and_it_is_told(
    tmp_path: Path, gone: str, shown: list[int]
) -> None:
    movie = write_set(tmp_path)
    (tmp_path / f"{gone}.ome.tif").unlink()
    there = "second" if gone == "first" else "first"
    source = open_frames(tmp_path / f"{there}.ome.tif")
    assert f"{gone}.ome.tif" in " ".join(source.warnings)
    assert all(shows(source, k, movie[shown[k]]) for k in range(len(source)))


def test_a_channel_whose_file_is_missing_is_told_to_be_black(tmp_path: Path) -> None:
    write_set(tmp_path, by_channel=True)
    (tmp_path / "first.ome.tif").unlink()
    source = open_frames(tmp_path / "second.ome.tif")
    assert "2 are black, of a channel or plane that is nowhere" in source.warnings[0]


@pytest.mark.parametrize("suffix", ["stk", "tif8", "svs", "lsm", "png", "data"])
def test_a_tiff_is_known_by_its_content(tmp_path: Path, suffix: str) -> None:
    movie = noise(5, 20, 30, dtype="uint8")
    source = open_frames(write(tmp_path / f"m.{suffix}", movie, photometric="minisblack"))
    assert (source.kind, len(source)) == ("tiff", 5)
    assert shows(source, 3, movie[3])


@pytest.mark.filterwarnings("ignore:.*are stored as RGB")
@pytest.mark.parametrize("count", [3, 4])
def test_a_movie_of_few_frames_that_was_stored_as_colours_is_a_movie(
    tmp_path: Path, count: int
) -> None:
    movie = noise(count, 20, 30, dtype="uint8")
    source = open_frames(write(tmp_path / "m.tif", movie, "TYX"))
    assert (len(source), source.axes) == (count, "TYX")
    assert all(shows(source, k, movie[k]) for k in range(count))


@pytest.mark.parametrize("count", [1, 3])
def test_white_that_is_stored_as_0_is_turned_over(tmp_path: Path, count: int) -> None:
    movie = noise(count, 20, 30, dtype="uint8")
    tifffile.imwrite(tmp_path / "m.tif", movie, photometric="miniswhite")
    source = open_frames(tmp_path / "m.tif")
    assert shows(source, count - 1, 255 - movie[-1])


def test_a_palette_is_shown_in_its_colours(tmp_path: Path) -> None:
    movie = noise(3, 20, 30, dtype="uint8") % 4
    colours = np.zeros((3, 256), np.uint16)
    colours[:, :4] = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]]).T * 257
    tifffile.imwrite(tmp_path / "m.tif", movie, photometric="palette", colormap=colours)
    source = open_frames(tmp_path / "m.tif")
    assert len(source) == 3
    assert np.array_equal(source[2].image, (colours.T >> 8).astype(np.uint8)[movie[2]])


def test_a_palette_that_only_tints_is_passed_over(tmp_path: Path) -> None:
    movie = noise(3, 20, 30, dtype="uint8")
    green = np.zeros((3, 256), np.uint16)
    green[1] = np.arange(256) * 257
    tifffile.imwrite(tmp_path / "m.tif", movie, photometric="palette", colormap=green)
    assert shows(open_frames(tmp_path / "m.tif"), 2, movie[2])


@pytest.mark.parametrize("damage", ["A & B", "<", "\N{DEGREE SIGN}"])
def test_ome_metadata_that_are_no_xml_stop_nothing(tmp_path: Path, damage: str) -> None:
    movie = noise(5, 20, 30, dtype="uint8")
    path = write(tmp_path / "m.ome.tif", movie, "TYX", metadata={"TimeIncrement": 2.0})
    text = str(tifffile.tiffcomment(path)).replace("<Pixels", f'<!-- --><Pixels Name="{damage}"')
    tifffile.tiffcomment(path, text.encode())
    source = open_frames(path)
    assert len(source) == 5
    assert shows(source, 4, movie[4])


def test_images_that_the_metadata_do_not_describe_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "m.ome.tif", noise(6, 20, 30, dtype="uint8"), "TYX")
    text = str(tifffile.tiffcomment(path))
    tifffile.tiffcomment(path, text.replace('SizeT="6"', 'SizeT="4"').encode())
    source = open_frames(path)
    assert len(source) == 4
    assert "holds 6 images, and its metadata describe 4" in source.warnings[0]


def test_a_part_of_a_set_names_the_file_that_describes_it(tmp_path: Path) -> None:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<BinaryOnly MetadataFile="exp.companion.ome" UUID="urn:uuid:1"/></OME>'
    )
    movie = noise(3, 20, 30, dtype="uint8")
    tifffile.imwrite(
        tmp_path / "m.ome.tif", movie, description=text, metadata=None, photometric="minisblack"
    )
    assert "exp.companion.ome describes" in open_frames(tmp_path / "m.ome.tif").warnings[0]


def test_the_size_of_pixels_is_read_from_ome_and_imagej(tmp_path: Path) -> None:
    movie = noise(3, 20, 30, dtype="uint8")
    facts = {"PhysicalSizeX": 650, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 500}
    ome = write(tmp_path / "m.ome.tif", movie, "TYX", metadata=facts)
    assert open_frames(ome).pixel_size == pytest.approx((0.65, 0.5))
    imagej = tmp_path / "ij.tif"
    resolution = (1 / 0.65, 1 / 0.5)
    tifffile.imwrite(
        imagej, movie, imagej=True, resolution=resolution, metadata={"axes": "TYX", "unit": "um"}
    )
    assert open_frames(imagej).pixel_size == pytest.approx((0.65, 0.5), rel=1e-3)
    tifffile.imwrite(tmp_path / "plain.tif", movie, resolution=(72, 72))
    assert open_frames(tmp_path / "plain.tif").pixel_size is None


def test_the_series_can_be_chosen(tmp_path: Path) -> None:
    path = tmp_path / "two.ome.tif"
    first, second = noise(3, 20, 30, dtype="uint8"), noise(5, 24, 36, dtype="uint8")
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(first, metadata={"axes": "TYX"})
        writer.write(second, metadata={"axes": "TYX"})
    assert len(open_frames(path)) == 3
    assert "stream=" in open_frames(path).warnings[0]
    assert shows(open_frames(path, stream=1), 4, second[4])
    with pytest.raises(FrameSourceError, match="2 series"):
        open_frames(path, stream=2)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_of_a_stack_cut_short_the_whole_frames_are_used_and_the_loss_told(
    tmp_path: Path, compression: str | None
) -> None:
    movie = noise(8, 40, 50, dtype="uint8")
    whole = tmp_path / "m.tif"
    tifffile.imwrite(whole, movie, compression=compression)
    for share in (0.35, 0.5, 0.65, 0.8):
        source = open_frames(cut(whole, share))
        assert 0 < len(source) < 8
        assert source.warnings
        assert all(shows(source, k, movie[k]) for k in range(len(source)))


def test_a_last_frame_without_all_its_channels_is_left_out_and_told(tmp_path: Path) -> None:
    movie = noise(5, 3, 24, 32, dtype="uint8")
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, movie, imagej=True, metadata={"axes": "TCYX"})
    source = open_frames(cut(path, 0.98))
    assert len(source) == 4 and "cut off" in source.warnings[0]
    assert np.array_equal(source[3].image, np.moveaxis(movie[3], 0, -1))


def test_a_file_that_is_no_tiff_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.tif").write_bytes(b"\0not a TIFF at all")
    with pytest.raises(FrameSourceError, match=r"noise\.tif cannot be read"):
        open_frames(tmp_path / "noise.tif")


def test_closing_releases_the_file(tmp_path: Path) -> None:
    source = open_frames(write(tmp_path / "m.ome.tif", noise(3, 20, 30), "TYX"))
    assert isinstance(source, ArraySource)
    source.close()
    open_files = {fd.resolve() for fd in Path("/proc/self/fd").iterdir() if fd.exists()}
    assert tmp_path / "m.ome.tif" not in open_files
    with pytest.raises(FrameSourceError, match="was closed"):
        source[0]


@pytest.mark.parametrize("frames", [3, 4])
def test_frames_that_a_writer_took_for_colours_are_frames_if_the_metadata_say_so(
    tmp_path: Path, frames: int
) -> None:
    movie = np.random.default_rng(0).integers(0, 255, (frames, 24, 32), np.uint8)
    path = tmp_path / "few.tif"
    tifffile.imwrite(path, movie, metadata={"axes": "TYX"}, photometric="rgb")
    with open_frames(path) as source:
        assert source.length == frames
        for index, frame in enumerate(source):
            np.testing.assert_array_equal(frame.image[..., 0], movie[index])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_that_says_how_it_lies_is_turned(tmp_path: Path, orientation: int) -> None:
    movie = noise(2, 20, 30, dtype="uint8")
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(tmp_path / "m.tif", movie, extratags=[tag], photometric="minisblack")
    plane = movie[0]
    turned = [plane, plane[:, ::-1], plane[::-1, ::-1], plane[::-1], plane.T]
    turned += [np.rot90(plane, -1), np.rot90(plane, 2).T, np.rot90(plane)]
    upright = turned[orientation - 1]
    source = open_frames(tmp_path / "m.tif")
    assert (source.height, source.width) == upright.shape
    assert shows(source, 0, upright)


def test_grey_with_opacity_is_grey(tmp_path: Path) -> None:
    grey = noise(20, 30, dtype="uint8")
    Image.fromarray(np.dstack([grey, 255 - grey]), "LA").save(tmp_path / "m.tif")
    image = open_frames(tmp_path / "m.tif")[0].image
    assert all(np.array_equal(image[..., c], grey) for c in range(3))


def test_stored_luma_and_chroma_are_shown_in_colour(tmp_path: Path) -> None:
    image = Image.new("RGB", (30, 20), (200, 40, 90))
    image.convert("YCbCr").save(tmp_path / "m.tif")
    assert np.allclose(open_frames(tmp_path / "m.tif")[0].image[3, 3], (200, 40, 90), atol=2)


def test_each_page_is_shown_in_its_own_palette(tmp_path: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    images = [Image.new("RGB", (30, 20), colour).quantize(4) for colour in colours]
    images[0].save(tmp_path / "m.tif", save_all=True, append_images=images[1:])
    shown = [tuple(frame.image[5, 5]) for frame in open_frames(tmp_path / "m.tif")]
    assert shown == colours


@pytest.mark.parametrize("as_folder", [False, True])
def test_four_bits_of_grey_reach_to_white(tmp_path: Path, as_folder: bool) -> None:
    rows = np.arange(20)[:, None] % 16 * np.ones((1, 30), int)
    packed = (rows[:, ::2] << 4 | rows[:, 1::2]).astype(np.uint8)
    head = [(256, 30), (257, 20), (258, 4), (259, 1), (262, 1), (273, 8), (278, 20), (279, 300)]
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in head)
    for name in ("0.tif", "1.tif"):
        content = b"II*\0" + struct.pack("<I", 308) + packed.tobytes()
        (tmp_path / name).write_bytes(content + struct.pack("<H", len(head)) + directory + bytes(4))
    source = open_frames(tmp_path if as_folder else tmp_path / "0.tif")
    assert shows(source, 0, (rows * 17).astype(np.uint8))


def test_signed_white_is_zero_is_turned_over(tmp_path: Path) -> None:
    movie = noise(3, 20, 30, dtype="int16") - 128
    tifffile.imwrite(tmp_path / "m.tif", movie, photometric="miniswhite")
    assert shows(open_frames(tmp_path / "m.tif", limits=(-128, 127)), 1, (127 - movie[1]))


def test_pages_that_were_written_one_by_one_are_frames(tmp_path: Path) -> None:
    movie = noise(4, 20, 30, dtype="uint8")
    with tifffile.TiffWriter(tmp_path / "m.tif") as writer:
        for frame in movie:
            writer.write(frame, contiguous=False)
    source = open_frames(tmp_path / "m.tif")
    assert (len(source), source.warnings) == (4, ())
    assert shows(source, 3, movie[3])


def write_pages(path: Path, pages: Iterable[NDArray], **options: Any) -> Path:
    """Write pages as programs do that know nothing of stacks."""
    with tifffile.TiffWriter(path) as writer:
        for number, page in enumerate(pages):
            writer.write(
                page,
                photometric="rgb" if page.ndim == 3 else "minisblack",
                compression="zlib" if number % 2 else None,
                **{"metadata": None, **options},
            )
    return path


@pytest.mark.parametrize("metadata", [None, {}])
def test_pages_of_several_compressions_depths_and_colours_are_frames(
    tmp_path: Path, metadata: dict | None
) -> None:
    movie = noise(5, 20, 30, dtype="uint8")
    path = write_pages(tmp_path / "z.tif", movie, metadata=metadata)
    source = open_frames(path)
    assert (len(source), source.warnings) == (5, ())
    assert shows(source, 3, movie[3])
    pages = [movie[0], movie[1].astype(np.uint16) * 9, np.stack([movie[2]] * 3, -1), movie[3]]
    source = open_frames(write_pages(tmp_path / "m.tif", pages, metadata=metadata), limits=(0, 255))
    assert len(source) == 4 and "1 of uint16" in source.warnings[0]
    assert all(shows(source, frame, movie[frame]) for frame in (0, 2, 3))


def test_pages_of_another_size_are_left_out_and_told(tmp_path: Path) -> None:
    movie = noise(4, 20, 30, dtype="uint8")
    pages = [movie[0, ::4, ::4], *movie[:2], movie[2, :-1], *movie[2:]]
    source = open_frames(write_pages(tmp_path / "m.tif", pages))
    assert len(source) == 4 and "holds 6 images of several sizes" in source.warnings[0]
    assert all(shows(source, frame, movie[frame]) for frame in range(4))


@pytest.mark.parametrize("sides", [(64, 16, 16), (16, 64, 16), (16, 32, 64)])
def test_of_a_picture_and_its_smaller_ones_the_largest_is_shown(
    tmp_path: Path, sides: tuple[int, ...]
) -> None:
    path = tmp_path / "m.tif"
    with tifffile.TiffWriter(path) as writer:
        for side in sides:
            writer.write(np.full((side, side), side, np.uint8), metadata=None)
    source = open_frames(path)
    assert (len(source), source.height) == (1, 64)
    assert "shown are those of 64 x 64 pixels, 1." in source.warnings[0]


def test_a_thumbnail_before_the_movie_is_passed_over(tmp_path: Path) -> None:
    movie = noise(4, 20, 30, dtype="uint8")
    with tifffile.TiffWriter(tmp_path / "m.tif") as writer:
        writer.write(movie[0, ::4, ::4], subfiletype=1)
        writer.write(movie, photometric="minisblack")
    assert shows(open_frames(tmp_path / "m.tif"), 3, movie[3])


def test_time_may_be_the_last_axis(tmp_path: Path) -> None:
    movie = noise(20, 30, 6, dtype="uint8")
    source = open_frames(write(tmp_path / "m.tif", movie, "YXT", photometric="minisblack"))
    assert (len(source), source.height, source.width) == (6, 20, 30)
    assert shows(source, 4, movie[..., 4])


def test_more_images_than_imagej_tells_of_are_told(tmp_path: Path) -> None:
    path = write(tmp_path / "m.tif", noise(5, 20, 30, dtype="uint8"), "TYX", imagej=True)
    path.write_bytes(path.read_bytes().replace(b"frames=5", b"frames=4"))
    source = open_frames(path)
    assert len(source) == 4
    assert "holds 5 images, and its metadata describe 4" in source.warnings[0]


@pytest.mark.parametrize("interval", ["NaN", "inf", "-2.5"])
def test_times_that_are_none_are_not_taken(tmp_path: Path, interval: str) -> None:
    facts = {"finterval": 2.125}
    path = write(tmp_path / "m.tif", noise(3, 20, 30), "TYX", imagej=True, metadata=facts)
    path.write_bytes(path.read_bytes().replace(b"2.125", interval.ljust(5).encode()))
    source = open_frames(path)
    assert (source.fps, source.times.tolist()) == (None, [0, 1, 2])


def test_a_unit_for_each_side_of_a_pixel(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeX": 650, "PhysicalSizeXUnit": "nm"}
    facts = {**sizes, "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
    path = write(tmp_path / "m.ome.tif", noise(3, 20, 30), "TYX", metadata=facts)
    assert open_frames(path).pixel_size == pytest.approx((0.65, 0.5))


@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("name", ["../secret.tif", "{folder}/secret.tif", "a/../../secret.tif"])
def test_metadata_cannot_name_files_elsewhere(tmp_path: Path, name: str, quote: str) -> None:
    inner = tmp_path / "set"
    inner.mkdir()
    tifffile.imwrite(tmp_path / "secret.tif", noise(20, 30))
    path = inner / "m.ome.tif"
    named = f"FileName={quote}{name.format(folder=tmp_path.as_posix())}{quote}"
    pixels = 'DimensionOrder="XYCZT" Type="uint16" SizeX="30" SizeY="20" SizeC="1" SizeZ="1"'
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" {pixels} SizeT="1"><TiffData IFD="0" PlaneCount="1">'
        f"<UUID {named}>urn:uuid:1</UUID></TiffData></Pixels></Image></OME>"
    )
    tifffile.imwrite(path, noise(20, 30), description=text, metadata=None)
    for source in (path, inner):
        with pytest.raises(FrameSourceError, match=r"m\.ome\.tif names a file in another folder"):
            open_frames(source)


@pytest.mark.parametrize("where", ["itself", "annotation"])
def test_metadata_may_note_where_a_file_was_first(tmp_path: Path, where: str) -> None:
    movie = noise(3, 20, 30, dtype="uint8")
    path = write(tmp_path / "m.ome.tif", movie, "TYX")
    text = str(tifffile.tiffcomment(path))
    origin = r'FileName="C:\Data\first.ome.tif"'
    if where == "itself":
        own = f"<UUID {origin}>{text.partition(' UUID=')[2].split(chr(34))[1]}</UUID>"
        text = re.sub(
            r"<TiffData([^>]*)/>", lambda data: f"<TiffData{data[1]}>{own}</TiffData>", text
        )
        assert own in text
    else:
        text = text.replace("</OME>", f"<StructuredAnnotations {origin}/></OME>")
    tifffile.tiffcomment(path, text.encode())
    assert shows(open_frames(path), 2, movie[2])


def test_metadata_that_promise_millions_of_images_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.ome.tif", noise(3, 20, 30), "TYX")
    tifffile.tiffcomment(path, tifffile.tiffcomment(path).replace('SizeT="3"', 'SizeT="9000000"'))
    with pytest.raises(FrameSourceError, match=r"m\.ome\.tif describes 9,000,000 images"):
        open_frames(path)


def test_tiles_that_are_too_large_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, noise(20, 30, dtype="uint8"), tile=(16, 16), photometric="minisblack")
    with tifffile.TiffFile(path, mode="r+") as tif:
        for name in ("TileWidth", "TileLength"):
            tif.pages[0].tags[name].overwrite(60_000)
    with pytest.raises(FrameSourceError, match=r"m\.tif is stored in pieces of 3,600,000,000"):
        open_frames(path)
