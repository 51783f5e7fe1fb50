"""GEFF, the graph exchange format of tracking tools: https://live-image-tracking-tools.github.io/geff/"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.export.registry import Masks, Subject, export_format
from sam2_plugins.core.export.track_graph import TrackGraph
from sam2_plugins.core.files import naming


@export_format("geff", "tracks.geff", "GEFF (graph of tracks)")
class GeffWriter:
    """Writes a GEFF folder when it is closed; needs the package `geff`.

    Nodes have the frame `t`, the middle `y`, `x`, the `label` in the label images, the `area` in
    pixels and the predicted `iou`. Places are in pixels and frames; the scale is that of the axes.

    Raises
    ------
    ExportError
        If `geff` is not installed.
    """

    def __init__(self, path: Path, of: Subject) -> None:
        try:
            import geff  # noqa: F401
        except ImportError as error:
            raise ExportError("GEFF needs the package geff: pip install geff.") from error
        self.path = Path(path)
        self._graph = TrackGraph(of.numbering, of.parents)
        self._scale = of.scale
        self._closed = False
        self.notes: list[str] = []
        """Why there is no folder, if no object was seen."""

    def write(self, frame: int, time: float, masks: Masks) -> None:
        """Take the objects of a frame."""
        self._graph.add(frame, masks)

    def close(self) -> None:
        """Write the folder."""
        if self._closed:
            return
        self._closed = True
        if not self._graph.spots:
            self.notes.append(f"{self.path.name} is not written: no object is seen on any frame.")
            return
        import geff
        import networkx as nx

        graph = nx.DiGraph()
        for spot in self._graph.spots:
            x, y = spot.centre
            facts = {"label": spot.label, "area": spot.mask.area, "iou": spot.mask.iou}
            graph.add_node(spot.id, t=spot.frame, y=y, x=x, **facts)
        graph.add_edges_from((source.id, target.id) for source, target in self._graph.edges())
        space = "micrometer" if self._scale.pixel_size else None
        with naming(self.path, also=(ValueError,)):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=f".{self.path.stem}-", dir=self.path.parent) as folder:
                whole = Path(folder) / self.path.name
                geff.write(
                    graph,
                    str(whole),
                    axis_names=["t", "y", "x"],
                    axis_types=["time", "space", "space"],
                    axis_units=[None, "pixel", "pixel"],
                    axis_scales=[self._scale.t, self._scale.y, self._scale.x],
                    scaled_units=["second" if self._scale.seconds else None, space, space],
                )
                if self.path.exists():
                    shutil.rmtree(self.path)
                whole.rename(self.path)
