"""Our models as models of FiftyOne's zoo, for `apply_model`: of images, and of videos."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import fiftyone as fo
from fiftyone.core.clips import ClipView
from fiftyone.core.models import Model, SamplesMixin

from sam2_plugins.core.frames import FrameSource, open_frames
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.tracking.image_segmenter import ImageSegmenter
from sam2_plugins.core.tracking.options import TrackingOptions
from sam2_plugins.fiftyone_plugin.documents import labels_of, make_detection
from sam2_plugins.fiftyone_plugin.footage import FRAMES, FootageError
from sam2_plugins.fiftyone_plugin.marks import Cause
from sam2_plugins.fiftyone_plugin.objects import TrackedLabel, TrackedObject, find_objects
from sam2_plugins.fiftyone_plugin.prompting import Prompting, class_names

PREFIX = "sam2-plugins-"

Masks: TypeAlias = "dict[int, list[Any]]"


def load(name: str, **options: Any) -> Model:
    """Load a model by its name in the zoo, such as `sam2-plugins-nano-video`."""
    variant, _, kind = name.removeprefix(PREFIX).rpartition("-")
    how = TrackingOptions(model=variant, **options)
    return _VideoModel(how) if kind == "video" else _ImageModel(how)


class _ZooModel(SamplesMixin, Model):
    """A model that takes prompts from a field: `apply_model(model, "sam2", prompt_field=…)`."""

    def __init__(self, options: TrackingOptions) -> None:
        self.config = None  # FiftyOne reads thresholds from it
        self.needs_fields: dict[str, str] = {}
        self._options = options
        self._model = options.load_model()

    @property
    def transforms(self) -> None:
        return None

    @property
    def preprocess(self) -> bool:
        return False

    @property
    def ragged_batches(self) -> bool:
        return True

    @property
    def _prompt_field(self) -> str:
        return str(self.needs_fields.get("prompt_field") or "").removeprefix(FRAMES)

    def _track(self, frames: FrameSource, values: Mapping[int, Any], sample: Any) -> Masks:
        """Follow what is prompted, labels by frame; of a clip, on its frames."""
        prompting = Prompting()
        size = frames.height, frames.width
        dataset = getattr(sample, "_view", sample.dataset)._root_dataset
        names = class_names(dataset, self._prompt_field)
        for frame, value in values.items():
            for label in labels_of(value):
                prompting.add(
                    frame, label, size, frames.length, field=self._prompt_field, names=names
                )
        if prompting.problems:
            raise FootageError(" ".join(prompting.problems))
        found = find_objects(prompting.prompt_labels, (), str(sample.id))
        objects = {one.who.instance: one for one in found}
        how = self._options
        if isinstance(sample, ClipView):
            ends = sorted((n - 1 for n in sample.support), reverse=how.direction == "backward")
            how = replace(how, start=ends[0], stop=ends[1])
        tracker = how.tracker(frames, self._model)
        for prompt in (prompt for one in found for prompt in one.prompts):
            tracker.add(prompt)
        masks: Masks = {}
        for result in how.propagate(tracker) if found else ():
            masks[result.frame] = [
                self._label(objects[str(obj)], mask, result.frame)
                for obj, mask in result.masks.items()
                if mask.visible
            ]
        return masks

    def _label(self, one: TrackedObject, mask: ObjectMask, frame: int) -> Any:
        cause = Cause.of(one.prompts, (self._options.model, self._options.image_size))
        prompted = any(prompt.frame == frame for prompt in one.prompts)
        return make_detection(one.who, mask, cause.on(False), prompted)


class _ImageModel(_ZooModel):
    """Masks of what is prompted in an image, or of everything in it."""

    @property
    def media_type(self) -> str:
        return "image"

    def predict(self, arg: Any, sample: Any = None) -> Any:
        """Segment an image [H, W, 3]."""
        if self._prompt_field:
            with open_frames(arg[None]) as frames:
                value = {0: sample[self._prompt_field]}
                masks = self._track(frames, value, sample)
            return fo.Detections(detections=masks.get(0, []))
        segmenter = ImageSegmenter(self._model)
        segmenter.set_image(arg)
        found = [
            self._label(TrackedObject(TrackedLabel(f"{index:024x}", None, index), (), ()), mask, 0)
            for index, mask in enumerate(segmenter.everything(), start=1)
        ]
        return fo.Detections(detections=found)

    def predict_all(self, args: Any, samples: Any = None) -> list[Any]:
        """Segment images one by one."""
        given = [None] * len(args) if samples is None else samples
        return [self.predict(image, sample) for image, sample in zip(args, given, strict=True)]


class _VideoModel(_ZooModel):
    """Masks of what is prompted on some frames, on all frames."""

    @property
    def media_type(self) -> str:
        return "video"

    def predict(self, arg: Any, sample: Any = None) -> dict[int, Any]:
        """Track through the video of a sample; FiftyOne's reader of it is not needed."""
        if not self._prompt_field:
            raise FootageError("Name the field of the prompts: prompt_field='frames.…'.")
        values = {n - 1: frame[self._prompt_field] for n, frame in sample.frames.items()}
        with open_frames(sample.filepath) as frames:
            masks = self._track(frames, values, sample)
        if not masks:  # FiftyOne takes the labels of at least one frame
            masks = {sample.support[0] - 1 if isinstance(sample, ClipView) else 0: []}
        return {n + 1: fo.Detections(detections=labels) for n, labels in masks.items()}
