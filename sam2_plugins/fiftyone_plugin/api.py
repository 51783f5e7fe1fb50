"""`propagate`: the whole plugin as a function."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import EllipsisType
from typing import Any

from sam2_plugins.core.tracking.schedule import Direction
from sam2_plugins.core.tracking.windows.planner import WindowChoice
from sam2_plugins.fiftyone_plugin.checks import check_propagation
from sam2_plugins.fiftyone_plugin.finding import find_footage
from sam2_plugins.fiftyone_plugin.propagation import run
from sam2_plugins.fiftyone_plugin.request import (
    OUTPUT_FIELD,
    Progress,
    Report,
    Request,
    Where,
)


def propagate(
    view: Any,
    prompt_fields: str | Sequence[str] = (),
    output_field: str = OUTPUT_FIELD,
    *,
    direction: Direction = "forward",
    first: int | None = None,
    last: int | None = None,
    prompt_frames: Collection[int] | None = None,
    model: str = "auto",
    device: str = "auto",
    image_size: int | None = None,
    window: WindowChoice = "auto",
    memory: str = "sam2",
    neighbours: bool = True,
    masks_folder: str | Path | None = None,
    remove_unprompted: bool = False,
    all_objects: bool = False,
    group_by: str | None = None,
    order_by: str | None = None,
    workers: int = 1,
    dask: str | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    tile: WindowChoice | EllipsisType = ...,
) -> Report:
    """Track the objects that are labelled on some frames of each movie through all of its frames.

    Call it again to go on after an interruption, or after a correction: only what is missing or
    outdated is computed. Labels of people are never replaced.

    Parameters
    ----------
    view
        A dataset or view of videos, clips, frames or dynamic groups of images; or of images, with
        `group_by` and `order_by`.
    prompt_fields
        Fields of Detections, Keypoints, Polylines or Segmentation on the frames. Labels of one
        object are joined by their instance, or by class and index. The filters of the view choose
        among them.
    output_field
        Where the masks go. Labels of people in it are prompts, too.
    direction
        "forward", "backward" or "both".
    first, last
        Frame numbers, from 1, both included; None: to the ends of the movie. Frames between a
        prompt and them are tracked, too, and not written.
    prompt_frames
        Frame numbers whose labels are prompts; None: all that have labels.
    window
        "auto": small objects are seen close by; None: always the whole frame; or a side in pixels.
    memory
        Rule of what each object remembers: "sam2", "samurai" or "dam4sam".
    neighbours
        A new mask leaves out what keypoints of other objects are on.
    masks_folder
        Keep masks as PNG files there; in the database if None.
    remove_unprompted
        Remove the tracks of objects whose prompts are gone. Else they stay, and are reported.
    all_objects
        Find all objects, without prompts, with births, divisions and ends; what the machine made
        in the field before is made anew. The direction is forward.
    workers
        Processes of this machine that track movies beside each other.
    dask
        Address of a Dask scheduler, whose workers see the same files and the same database.
    on_progress
        Called after each frame; about once a second and movie where several workers are at it.
    tile
        Earlier name of `window`.

    Returns
    -------
    Report
        What came of each movie. One that failed did not stop the others.

    Raises
    ------
    Sam2PluginsError
        If there is nothing to do, or a field does not fit; nothing was changed then.
    """
    # It takes those of the arguments that have the names of its fields.
    request = Request.of({**locals(), "window": window if tile is ... else tile})
    where = Where(workers, dask)
    check_propagation(view, request, group_by, order_by)
    movies = find_footage(view, group_by, order_by)
    return Report.gather(run(movies, request, where), on_progress)
