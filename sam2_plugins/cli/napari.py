"""`sam2-plugins napari`: the viewer with the movie and the dock, ready to click."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from sam2_plugins.core.errors import FrameSourceError, Sam2PluginsError
from sam2_plugins.core.operating_system import handling

PLUGIN, DOCK = "sam2-plugins", "SAM 2"


def napari(
    movies: Annotated[
        list[Path] | None,
        typer.Argument(help="Whatever napari opens, and videos; without any, the sample."),
    ] = None,
    stack: Annotated[
        bool, typer.Option("--stack", help="Several images are frames of one movie.")
    ] = False,
) -> None:
    """Open napari with a movie and the SAM 2 dock."""
    for movie in movies or []:
        if not movie.exists():
            raise FrameSourceError(f"There is no file or folder {movie}. Check the path.")
    try:
        from napari import Viewer, run
        from qtpy.QtCore import QTimer
    except ImportError as error:
        raise Sam2PluginsError(
            'napari is not installed: pip install "sam2-plugins[napari]" "napari[all]".'
        ) from error
    viewer = Viewer()
    if movies:
        try:
            viewer.open([str(movie) for movie in movies], stack=stack)
        except Exception as error:  # whatever a reader raises
            viewer.close()
            raise FrameSourceError(
                f"napari cannot open {', '.join(map(str, movies))}: {error}. Is the reader for "
                "such files installed?"
            ) from error
    else:
        viewer.open_sample(PLUGIN, "synthetic")
    viewer.window.add_plugin_dock_widget(PLUGIN, DOCK)
    # Only then is the canvas as large as it stays.
    QTimer.singleShot(0, lambda: _show_beginning(viewer))
    with handling(signal.SIG_DFL, spared=(signal.SIGINT,)):  # Qt's loop would not come to ours
        run()


def _show_beginning(viewer: Any) -> None:
    """Show the whole first frame: napari shows the middle one, as large as fits without a dock."""
    viewer.reset_view()
    dims = viewer.dims
    sliders = [axis for axis in range(dims.ndim) if axis not in dims.displayed]
    dims.set_point(sliders[:1], [dims.range[axis][0] for axis in sliders[:1]])
