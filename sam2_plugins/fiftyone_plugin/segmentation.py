"""Masks of single images: of what is prompted, or of everything that a grid of clicks finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import fiftyone as fo

from sam2_plugins.batch import Progress as Step
from sam2_plugins.core.checkpoints import check_model_name
from sam2_plugins.core.files import digest_of
from sam2_plugins.core.model import Sam2Model
from sam2_plugins.core.tracking.image_segmenter import ImageSegmenter
from sam2_plugins.fiftyone_plugin import propagation
from sam2_plugins.fiftyone_plugin.checks import (
    check_output_field,
    check_request,
    frame_schema,
    replaced_by_everything,
)
from sam2_plugins.fiftyone_plugin.documents import (
    ATTRIBUTES,
    given_by_people,
    inherit,
    labels_of,
    make_detection,
    read_made,
)
from sam2_plugins.fiftyone_plugin.finding import check_images, find_images
from sam2_plugins.fiftyone_plugin.marks import cause_of, digest
from sam2_plugins.fiftyone_plugin.objects import TrackedLabel
from sam2_plugins.fiftyone_plugin.propagation import Events, MovieTask, Steps, run_movies
from sam2_plugins.fiftyone_plugin.records import replaced_files
from sam2_plugins.fiftyone_plugin.request import Progress, Report, Request


@dataclass(frozen=True)
class Everything:
    """How to look for everything: see `core.ImageSegmenter.everything`."""

    points_per_side: int = 32
    min_iou: float = 0.8
    min_stability: float = 0.95


def segment(
    view: Any,
    request: Request,
    *,
    everything: Everything | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> Report:
    """Segment the images of a dataset or view, and write their masks to a field.

    Parameters
    ----------
    request
        Its prompt fields are not looked at if `everything` is wanted; of its other values the model
        and where the masks go count.
    everything
        How to look for all that is in the image, without prompts; None: only what is prompted.

    Raises
    ------
    Sam2PluginsError
        If there is nothing to do, or a field does not fit; nothing was changed then.
    """
    check_segmentation(view, request, everything)
    return Report.gather(run(view, request, everything), on_progress)


def check_segmentation(view: Any, request: Request, everything: Everything | None) -> list[str]:
    """Check a request before it runs; see `checks.check_propagation`."""
    view = check_images(view)
    if everything is None:
        return check_request(view, request)
    check_output_field(frame_schema(view), request.output_field)
    check_model_name(request.options.model)
    return replaced_by_everything(view, request.output_field)


def run(view: Any, request: Request, everything: Everything | None) -> Events:
    """Segment images, and yield progress and a report of each; see `propagation.run`."""
    images = find_images(view)
    if everything is None:
        return propagation.run(images, request)
    return run_movies([_All(str(n), one, request, everything) for n, one in enumerate(images)])


@dataclass(frozen=True)
class _All(MovieTask):
    """Finds everything in an image."""

    how: Everything

    def steps(self, model: Sam2Model) -> Steps:
        """Segment the image in one step; labels of people stay, those of earlier runs go."""
        found, computed = self._find(model)
        yield Step(self.name, 1, 1)
        yield replace(self.started, frames=1, objects=found, computed=int(computed))

    def _find(self, model: Sam2Model) -> tuple[int, bool]:
        """Return the number of masks, and whether they had to be computed."""
        image, request, how = self.footage, self.request, self.how
        cause = cause_of([], (asdict(how), *request.settings, *replaced_files(image)))
        with image.open() as frames:
            size = frames.height, frames.width
            made_before = [
                read_made(label, size)
                for _, value in image.read(request.output_field)
                for label in labels_of(value)
            ]
            current = sum(one is not None and one.mark.cause == cause for one in made_before)
            if current:
                return current, False
            segmenter = ImageSegmenter(model)
            segmenter.set_image(frames)
            masks = segmenter.everything(**asdict(how))
        made = []
        for index, mask in enumerate(masks, start=1):
            who = TrackedLabel(digest_of(f"{image.sample_id}/{index}", 24), None, index)
            folder = request.masks_folder
            path = folder and folder / image.sample_id / f"{index}-{digest(mask)}.png"
            made.append(make_detection(who, mask, cause, keyframe=False, mask_path=path))

        def revise_one(_: int, values: dict[str, Any]) -> dict[str, Any]:
            value = values[request.output_field] or fo.Detections()
            before = [(read_made(one, size), one) for one in value.detections]
            given = [
                (old.mask, given_by_people(one))
                for old, one in before
                if old is not None and old.mask is not None
            ]
            for one, mask in zip(made, masks, strict=True):
                inherit(one, mask, given)
            value.detections = [*(one for old, one in before if old is None), *made]
            return {request.output_field: value}

        image.fields.declare(request.output_field, fo.Detections, ATTRIBUTES)
        image.revise([request.output_field], [0], revise_one)
        return len(masks), True
