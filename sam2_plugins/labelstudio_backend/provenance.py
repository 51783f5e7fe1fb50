"""Telling whether a stored prediction is of the prompts that an annotation has now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sam2_plugins.labelstudio_backend import images, keyframes
from sam2_plugins.labelstudio_backend.digests import digest_of
from sam2_plugins.labelstudio_backend.errors import FormatError
from sam2_plugins.labelstudio_backend.formats.video_rectangle import read_region
from sam2_plugins.labelstudio_backend.label_config import SHAPES, VIDEO_SHAPE

_PROMPTS = "prompts"


def prompts_digest(results: Sequence[Mapping[str, Any]]) -> str:
    """Return a short text that is the same for the same prompts of a person; "" for none."""
    prompts = sorted(json.dumps(one, default=str, sort_keys=True) for one in _prompts(results))
    text = "\n".join(prompts)
    return digest_of(text, 16) if prompts else ""


def marked(results: list[dict[str, Any]], digest: str) -> list[dict[str, Any]]:
    """Return the results of a prediction with a mark of the prompts that they come from."""
    for place, result in enumerate(results):
        if "id" in result:
            meta = result.get("meta")
            meta = dict(meta) if isinstance(meta, Mapping) else {}
            note = meta.get(images.NOTE)
            note = dict(note) if isinstance(note, Mapping) else {}
            meta[images.NOTE] = {**note, _PROMPTS: digest}
            return [*results[:place], {**result, "meta": meta}, *results[place + 1 :]]
    return results


def is_of(prediction: Mapping[str, Any], digest: str) -> bool:
    """Whether a prediction comes from the prompts with this digest."""
    for result in prediction.get("result") or ():
        meta = result.get("meta") if isinstance(result, Mapping) else None
        note = meta.get(images.NOTE) if isinstance(meta, Mapping) else None
        if isinstance(note, Mapping) and _PROMPTS in note:
            return bool(note[_PROMPTS] == digest)
    return False


def _prompts(results: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    for result in results:
        kind = str(result.get("type", "")).lower()
        if kind == VIDEO_SHAPE:
            try:
                region = read_region(result)
            except FormatError:
                yield [result.get("id"), result.get("value")]
                continue
            for one in region.keyframes:
                if not keyframes.is_ours(one):
                    box = [round(side, 3) for side in one.box]
                    turned = round(one.rotation, 3)
                    yield [region.id, region.labels, one.frame, box, one.enabled, turned]
        elif kind.removesuffix("labels") in SHAPES and not images.is_ours(result):
            value = result.get("value")
            if isinstance(value, Mapping):
                labels = value.get(kind) or value.get("labels")
                yield [result.get("item_index") or 0, kind, images.digest(value), labels]
