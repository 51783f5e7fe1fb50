"""TrackMate XML: spots with their outlines, and the links between them.

The format is that of TrackMate 7 of Fiji: https://imagej.net/plugins/trackmate/
"""

from __future__ import annotations

import re
from math import pi, sqrt
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sam2_plugins.core.export.registry import Masks, Subject, export_format
from sam2_plugins.core.export.track_graph import Spot, TrackGraph
from sam2_plugins.core.files import replacing
from sam2_plugins.core.masks.polygons import ring_area

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0

_SPOT = {
    "QUALITY": ("Quality", "QUALITY", False),
    "POSITION_X": ("X", "POSITION", False),
    "POSITION_Y": ("Y", "POSITION", False),
    "POSITION_Z": ("Z", "POSITION", False),
    "POSITION_T": ("T", "TIME", False),
    "FRAME": ("Frame", "NONE", True),
    "RADIUS": ("Radius", "LENGTH", False),
    "VISIBILITY": ("Visibility", "NONE", True),
    "AREA": ("Area", "AREA", False),
    "MANUAL_SPOT_LABEL": ("Label", "NONE", True),
}
_EDGE = {
    "SPOT_SOURCE_ID": ("Source spot ID", "NONE", True),
    "SPOT_TARGET_ID": ("Target spot ID", "NONE", True),
    "LINK_COST": ("Link cost", "COST", False),
}
_TRACK = {"TRACK_INDEX": ("Index", "NONE", True), "TRACK_ID": ("ID", "NONE", True)}
_OUTLINE_PX = 0.2  # within which an outline's vertices are dropped


@export_format("trackmate", "trackmate.xml", "TrackMate (XML)")
class TrackMateWriter:
    """Writes one XML file when it is closed, with lengths in micrometres and seconds if known."""

    def __init__(self, path: Path, of: Subject) -> None:
        self.path = Path(path)
        self._size = of.size
        self._names = of.names
        self._frames = of.frames.length or 0
        self._graph = TrackGraph(of.numbering, of.parents)
        self._scale = of.scale
        self._image = Path(of.frames.name)
        self._closed = False

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Take the objects of a frame."""
        self._frames = max(self._frames, frame + 1)
        self._graph.add(frame, masks)

    def close(self) -> None:
        """Write the file."""
        if self._closed:
            return
        self._closed = True
        root = ET.Element("TrackMate", version="7.11.1")
        model = ET.SubElement(
            root,
            "Model",
            spatialunits="µm" if self._scale.pixel_size else "pixel",
            timeunits="sec" if self._scale.seconds else "frame",
        )
        self._declare(model)
        self._add_spots(model)
        self._add_tracks(model)
        self._add_image(root)
        ET.indent(root)
        with replacing(self.path) as fresh:
            ET.ElementTree(root).write(fresh, encoding="UTF-8", xml_declaration=True)

    def _declare(self, model: ET.Element) -> None:
        declared = ET.SubElement(model, "FeatureDeclarations")
        for name, features in (
            ("SpotFeatures", _SPOT),
            ("EdgeFeatures", _EDGE),
            ("TrackFeatures", _TRACK),
        ):
            group = ET.SubElement(declared, name)
            for key, (title, dimension, whole) in features.items():
                named = {"feature": key, "name": title, "shortname": title}
                whether = str(whole).lower()
                ET.SubElement(group, "Feature", named, dimension=dimension, isint=whether)

    def _add_spots(self, model: ET.Element) -> None:
        spots = self._graph.spots
        every = ET.SubElement(model, "AllSpots", nspots=str(len(spots)))
        by_frame: dict[int, list[Spot]] = {}
        for spot in spots:
            by_frame.setdefault(spot.frame, []).append(spot)
        for frame, here in sorted(by_frame.items()):
            group = ET.SubElement(every, "SpotsInFrame", frame=str(frame))
            for spot in here:
                self._add_spot(group, spot)

    def _add_spot(self, group: ET.Element, spot: Spot) -> None:
        scale, (x, y) = self._scale, spot.centre
        area = spot.mask.area * scale.x * scale.y
        ring = max(spot.mask.to_polygons(_OUTLINE_PX), key=ring_area)
        outline = (ring - (x, y)) * (scale.x, scale.y)
        element = ET.SubElement(
            group,
            "Spot",
            ID=str(spot.id),
            name=_legal(str(self._names.get(spot.obj, spot.obj))),
            QUALITY=_number(0.0 if np.isnan(spot.mask.iou) else spot.mask.iou),
            POSITION_X=_number(x * scale.x),
            POSITION_Y=_number(y * scale.y),
            POSITION_Z="0.0",
            POSITION_T=_number(spot.frame * scale.t),
            FRAME=str(spot.frame),
            RADIUS=_number(sqrt(area / pi)),
            VISIBILITY="1",
            AREA=_number(area),
            MANUAL_SPOT_LABEL=str(spot.label),
            ROI_N_POINTS=str(len(outline)),
        )
        element.text = " ".join(_number(value) for value in outline.ravel())

    def _add_tracks(self, model: ET.Element) -> None:
        tracks = ET.SubElement(model, "AllTracks")
        kept = ET.SubElement(model, "FilteredTracks")
        for index, edges in enumerate(_connected(self._graph.edges(), len(self._graph.spots))):
            track = ET.SubElement(
                tracks, "Track", name=f"Track_{index}", TRACK_ID=str(index), TRACK_INDEX=str(index)
            )
            for source, target in edges:
                ends = {"SPOT_SOURCE_ID": str(source.id), "SPOT_TARGET_ID": str(target.id)}
                ET.SubElement(track, "Edge", ends, LINK_COST="-1.0")
            ET.SubElement(kept, "TrackID", TRACK_ID=str(index))

    def _add_image(self, root: ET.Element) -> None:
        height, width = self._size
        settings = ET.SubElement(root, "Settings")
        ET.SubElement(
            settings,
            "ImageData",
            filename=_legal(self._image.name),
            folder="" if self._image.parent == Path() else _legal(str(self._image.parent)),
            width=str(width),
            height=str(height),
            nslices="1",
            nframes=str(self._frames),
            pixelwidth=_number(self._scale.x),
            pixelheight=_number(self._scale.y),
            voxeldepth="1.0",
            timeinterval=_number(self._scale.t),
        )


def _connected(edges: list[tuple[Spot, Spot]], spots: int) -> list[list[tuple[Spot, Spot]]]:
    """Edges by the tree that they are part of: a mother and all that come from her."""
    ids = np.array([(source.id, target.id) for source, target in edges], int).reshape(-1, 2)
    links = coo_array((np.ones(len(edges)), tuple(ids.T)), shape=(spots + 1, spots + 1))
    _, tree_of = connected_components(links, directed=False)
    trees: dict[int, list[tuple[Spot, Spot]]] = {}
    for source, target in edges:
        trees.setdefault(int(tree_of[source.id]), []).append((source, target))
    return list(trees.values())


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)


def _number(value: float) -> str:
    return f"{value:.6g}"
