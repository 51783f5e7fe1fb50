"""Tracks as graphs: GEFF and TrackMate XML, read back by what reads them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export import Blank, CtcWriter, Numbering, Subject, TrackWriter
from sam2_plugins.core.export.geff import GeffWriter
from sam2_plugins.core.export.trackmate import TrackMateWriter
from sam2_plugins.core.masks import ObjectId, ObjectMask
from tests.core.export.movie import Movie

SIZE = (40, 60)
PARENTS: dict[ObjectId, ObjectId] = {"a.1": "a", "a.2": "a"}


def box(x: int, y: int, side: int = 4) -> ObjectMask:
    return ObjectMask.from_box((x, y, x + side, y + side), SIZE)


def write_division(writer: TrackWriter) -> None:
    """A cell of two frames, her daughters of two more, and one that is lost on frame 2."""
    for frame in range(4):
        masks: dict[ObjectId, ObjectMask] = {}
        if frame < 2:
            masks["a"] = box(10 + frame, 10)
        else:
            masks |= {"a.1": box(5, 10), "a.2": box(20, 10)}
        masks["b"] = box(40, 20, 6) if frame != 2 else ObjectMask.empty(SIZE)
        writer.write(frame, frame * 120.0, masks)
    writer.close()


def subject() -> Subject:
    movie = Movie(4, *SIZE, fps=1 / 120, name="dir/movie.tif", pixel_size=(0.5, 0.25))
    return Subject(movie, Numbering(["a", "a.1", "a.2", "b"]), PARENTS)


@pytest.mark.parametrize("sign", ["\0", "\x07", "\ud800", "\ufffe"])
def test_trackmate_is_xml_whatever_the_names(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "trackmate.xml"
    writer = TrackMateWriter(path, Subject(Blank(f"dir{sign}/movie{sign}.tif", SIZE, 1)))
    writer.write(0, 0.0, {f"cell{sign}": box(10, 10)})
    writer.close()
    (spot,) = ET.parse(path).getroot().iter("Spot")
    assert spot.attrib["name"] == "cell\N{REPLACEMENT CHARACTER}"


def test_trackmate_has_spots_links_and_the_scale(tmp_path: Path) -> None:
    path = tmp_path / "trackmate.xml"
    write_division(TrackMateWriter(path, subject()))
    root = ET.parse(path).getroot()
    spots = {s.attrib["ID"]: s for s in root.iter("Spot")}
    assert len(spots) == 9
    links = [
        tuple(
            (spots[e.attrib[key]].attrib["name"], spots[e.attrib[key]].attrib["FRAME"])
            for key in ("SPOT_SOURCE_ID", "SPOT_TARGET_ID")
        )
        for e in root.iter("Edge")
    ]
    assert (("a", "1"), ("a.1", "2")) in links and (("a", "1"), ("a.2", "2")) in links
    assert (("b", "1"), ("b", "3")) in links
    assert len(links) == 7
    assert len(list(root.iter("Track"))) == len(list(root.iter("TrackID"))) == 2
    first = next(s for s in spots.values() if s.attrib["name"] == "a")
    assert float(first.attrib["POSITION_X"]) == pytest.approx(11.5 * 0.5)
    assert float(first.attrib["POSITION_Y"]) == pytest.approx(11.5 * 0.25)
    assert float(first.attrib["AREA"]) == pytest.approx(16 * 0.125)
    outline = np.array([float(n) for n in (first.text or "").split()]).reshape(-1, 2)
    assert len(outline) == int(first.attrib["ROI_N_POINTS"])
    assert np.allclose(np.ptp(outline, axis=0), (4 * 0.5, 4 * 0.25))
    assert np.allclose(outline.max(axis=0) + outline.min(axis=0), 0)
    image = next(root.iter("ImageData")).attrib
    assert (image["filename"], image["pixelwidth"], image["timeinterval"]) == (
        "movie.tif",
        "0.5",
        "120",
    )
    model = next(root.iter("Model")).attrib
    assert (model["spatialunits"], model["timeunits"]) == ("µm", "sec")


def test_geff_is_read_back_by_its_own_package(tmp_path: Path) -> None:
    geff = pytest.importorskip("geff")
    path = tmp_path / "tracks.geff"
    for _ in range(2):  # a folder of before is replaced
        write_division(GeffWriter(path, subject()))
    graph, metadata = geff.read(path, structure_validation=True)
    assert len(graph) == 9 and graph.number_of_edges() == 7
    mother = next(n for n, d in graph.nodes(data=True) if d["label"] == 1 and d["t"] == 1)
    assert {graph.nodes[n]["label"] for n in graph.successors(mother)} == {2, 3}
    assert [axis.scale for axis in metadata.axes] == [120.0, 0.25, 0.5]
    assert metadata.axes[2].scaled_unit == "micrometer"


def test_geff_that_cannot_be_written_leaves_that_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    geff = pytest.importorskip("geff")
    write_division(GeffWriter(tmp_path / "tracks.geff", subject()))

    def full(graph: object, store: str, **_: object) -> None:
        Path(store).mkdir()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(geff, "write", full)
    with pytest.raises(ExportError, match="No space left"):
        write_division(GeffWriter(tmp_path / "tracks.geff", subject()))
    assert [path.name for path in tmp_path.iterdir()] == ["tracks.geff"]
    assert len(geff.read(tmp_path / "tracks.geff")[0]) == 9


def test_geff_without_an_object_is_told_of(tmp_path: Path) -> None:
    pytest.importorskip("geff")
    writer = GeffWriter(tmp_path / "tracks.geff", subject())
    writer.close()
    assert "no object is seen" in writer.notes[0]
    assert not writer.path.exists()


def test_a_parent_that_ctc_cannot_have_is_told_of(tmp_path: Path) -> None:
    writer = CtcWriter(tmp_path, Subject(Blank("cells", SIZE, 2), Numbering([1, 2]), {2: 1}))
    for frame in range(2):
        writer.write(frame, float(frame), {1: box(10, 10), 2: box(30, 10)})
    writer.close()
    assert len(writer.notes) == 1 and "Object 2 has no parent in the table" in writer.notes[0]
