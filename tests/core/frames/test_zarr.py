from __future__ import annotations

import http.server
import shutil
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_plugins.core.errors import FrameSourceError
from sam2_plugins.core.frames import open_frames
from tests.support.web import listening

zarr = pytest.importorskip("zarr", minversion="3")  # which writes both versions

MOVIE = np.random.default_rng(0).integers(0, 255, (6, 1, 1, 20, 30)).astype(np.uint8)
AXES = [
    {"name": "t", "type": "time", "unit": "minute"},
    {"name": "c", "type": "channel"},
    *({"name": axis, "type": "space", "unit": "nanometer"} for axis in "zyx"),
]


def root(path: Path, version: str = "0.4") -> Any:
    return zarr.open_group(str(path), mode="w", zarr_format=3 if version == "0.5" else 2)


def image(group: Any, version: str = "0.4", data: np.ndarray = MOVIE) -> None:
    """Make an OME-Zarr image of a group: a frame each five minutes, pixels of 650 nm."""
    array = group.create_array("0", shape=data.shape, dtype=data.dtype, chunks=(1, 1, 1, 20, 30))
    array[...] = data
    scale = {"type": "scale", "scale": [2.5, 1, 1, 650, 650]}
    multiscale: dict[str, Any] = {
        "version": version,
        "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
        "coordinateTransformations": [{"type": "scale", "scale": [2, 1, 1, 1, 1]}],
    }
    if version == "0.3":
        multiscale["axes"] = list("tczyx")
    if version in ("0.4", "0.5"):
        multiscale["axes"] = AXES
    tell(group, {"multiscales": [multiscale]}, version)


def tell(group: Any, facts: dict[str, Any], version: str = "0.4") -> None:
    group.attrs.update({"ome": {"version": version, **facts}} if version == "0.5" else facts)


def shows_movie(source: Any, data: np.ndarray = MOVIE) -> bool:
    return len(source) == len(data) and all(
        np.array_equal(frame.image[..., 0], data[frame.index, 0, 0]) for frame in source
    )


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3", "0.4", "0.5"])
def test_an_image_of_every_version_is_read(tmp_path: Path, version: str) -> None:
    image(root(tmp_path / "m.zarr", version), version)
    source = open_frames(tmp_path / "m.zarr")
    assert (source.kind, source.axes) == ("zarr", "TCZYX")
    assert shows_movie(source)
    if version in ("0.4", "0.5"):
        assert source.times[:3].tolist() == [0, 300, 600]
        assert source.pixel_size == pytest.approx((0.65, 0.65))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_what_bioformats2raw_wrote_is_its_first_image(tmp_path: Path, version: str) -> None:
    group = root(tmp_path / "m.zarr", version)
    tell(group, {"bioformats2raw.layout": 3}, version)
    image(group.create_group("0"), version)
    image(group.create_group("1"), version, MOVIE[::-1].copy())
    tell(group.create_group("OME"), {"series": ["0", "1"]}, version)
    source = open_frames(tmp_path / "m.zarr")
    assert shows_movie(source)
    assert "m.zarr/1" in source.warnings[0]
    assert shows_movie(open_frames(tmp_path / "m.zarr", stream=1), MOVIE[::-1])
    with pytest.raises(FrameSourceError, match=r"has 2 images.*no image 2"):
        open_frames(tmp_path / "m.zarr", stream=2)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_of_a_plate_and_of_a_well_an_image_is_shown(tmp_path: Path, version: str) -> None:
    group = root(tmp_path / "p.zarr", version)
    wells = [{"path": path} for path in ("A/1", "B/2")]
    tell(group, {"plate": {"wells": wells}}, version)
    for path, data in (("A/1", MOVIE), ("B/2", MOVIE[::-1].copy())):
        well = group.create_group(path)
        tell(well, {"well": {"images": [{"path": "0"}]}}, version)
        image(well.create_group("0"), version, data)
    source = open_frames(tmp_path / "p.zarr")
    assert shows_movie(source)
    assert "A/1/0" in source.warnings[0]
    assert "p.zarr/B/2/0" in source.warnings[0]
    assert shows_movie(open_frames(tmp_path / "p.zarr", stream=1), MOVIE[::-1])
    assert shows_movie(open_frames(tmp_path / "p.zarr/B/2"), MOVIE[::-1])
    assert open_frames(tmp_path / "p.zarr/B/2").warnings == ()


@pytest.mark.parametrize("inside", [".", "m.zarr"])
def test_a_zip_is_read_whether_or_not_it_holds_the_folder(tmp_path: Path, inside: str) -> None:
    image(root(tmp_path / "made" / "m.zarr"))
    folder = tmp_path / "made" / ("m.zarr" if inside == "." else "")
    shutil.make_archive(str(tmp_path / "m.zarr"), "zip", folder)
    source = open_frames(tmp_path / "m.zarr.zip")
    assert shows_movie(source)
    assert source.times[1] == 300


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    class Lists(http.server.SimpleHTTPRequestHandler):
        def list_directory(self, path: Any) -> None:
            self.send_error(404)  # as most servers do

    monkeypatch.chdir(tmp_path)  # what is served
    with listening(Lists) as address:
        yield address


def test_an_address_is_read_over_the_network(tmp_path: Path, address: str) -> None:
    image(root(tmp_path / "m.zarr"))
    source = open_frames(f"{address}/m.zarr")
    assert shows_movie(source)
    assert source.warnings == ()


def test_an_array_alone_is_a_movie(tmp_path: Path) -> None:
    zarr.save_array(str(tmp_path / "a.zarr"), MOVIE[:, 0, 0])
    assert shows_movie(open_frames(tmp_path / "a.zarr"))


@pytest.mark.parametrize("how", ["zarr 3", "xarray"])
def test_the_axes_of_an_array_are_those_it_names(tmp_path: Path, how: str) -> None:
    names = ["time", "channel", "z", "y", "x"]
    array = zarr.create_array(
        str(tmp_path / "a.zarr"),
        shape=MOVIE.shape,
        dtype="u1",
        zarr_format=3 if how == "zarr 3" else 2,
        **({"dimension_names": names} if how == "zarr 3" else {}),
    )
    array[...] = MOVIE
    if how == "xarray":
        array.attrs["_ARRAY_DIMENSIONS"] = names
    source = open_frames(tmp_path / "a.zarr")
    assert source.axes == "TCZYX"
    assert shows_movie(source)


def test_a_group_of_arrays_is_refused_with_their_names(tmp_path: Path) -> None:
    group = root(tmp_path / "g.zarr")
    for name in ("raw", "mask"):
        group.create_array(name, shape=(2, 20, 30), dtype="u1", chunks=(1, 20, 30))
    with pytest.raises(FrameSourceError, match="mask, raw"):
        open_frames(tmp_path / "g.zarr")


@pytest.mark.parametrize("damage", ["{", '{"zarr_format": 2}', '{"zarr_format": 9}'])
def test_a_damaged_store_is_named(tmp_path: Path, damage: str) -> None:
    image(root(tmp_path / "m.zarr"))
    (tmp_path / "m.zarr" / "0" / ".zarray").write_text(damage)
    with pytest.raises(FrameSourceError, match=r"m\.zarr cannot be read as zarr"):
        open_frames(tmp_path / "m.zarr")


def test_chunks_that_are_not_there_are_told(tmp_path: Path) -> None:
    image(root(tmp_path / "m.zarr"))
    chunks = [path for path in (tmp_path / "m.zarr" / "0").rglob("*") if path.name[:1].isdigit()]
    next(path for path in chunks if path.is_file()).unlink()
    assert "1 of 6 chunks are not stored" in open_frames(tmp_path / "m.zarr").warnings[0]


@pytest.mark.parametrize("names", ["fλzyx", ("frame", "lambda", "plane", "row", "column")])
def test_an_axis_counts_what_its_type_says(tmp_path: Path, names: Sequence[str]) -> None:
    group = root(tmp_path / "m.zarr")
    image(group)
    multiscale = deepcopy(group.attrs["multiscales"])
    for axis, name in zip(multiscale[0]["axes"], names, strict=True):
        axis["name"] = name
    group.attrs["multiscales"] = multiscale
    source = open_frames(tmp_path / "m.zarr")
    assert source.axes == "TCZYX"
    assert shows_movie(source)


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_scale_that_is_none_is_not_taken(tmp_path: Path, scale: float) -> None:
    group = root(tmp_path / "m.zarr")
    image(group)
    multiscale = group.attrs["multiscales"]
    multiscale[0]["datasets"][0]["coordinateTransformations"][0]["scale"] = [scale] * 5
    group.attrs["multiscales"] = multiscale
    source = open_frames(tmp_path / "m.zarr")
    assert (source.fps, source.pixel_size) == (None, None)
    assert shows_movie(source)


def test_a_well_that_is_not_there_is_named(tmp_path: Path) -> None:
    tell(root(tmp_path / "p.zarr"), {"plate": {"wells": [{"path": "A/1"}]}})
    with pytest.raises(FrameSourceError, match="it has no 'A/1'"):
        open_frames(tmp_path / "p.zarr")


def test_a_zip_without_a_store_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    shutil.make_archive(str(tmp_path / "m.zarr"), "zip", tmp_path, "notes.txt")
    with pytest.raises(FrameSourceError, match="ZIP archive without a zarr store"):
        open_frames(tmp_path / "m.zarr.zip")


def test_chunks_that_are_too_large_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    chunks = (10, 50_000, 50_000)
    zarr.create_array(str(tmp_path / "m.zarr"), shape=(10, 20, 30), chunks=chunks, dtype="uint8")
    with pytest.raises(FrameSourceError, match=r"m\.zarr is stored in pieces of 25,000,000,000"):
        open_frames(tmp_path / "m.zarr")
