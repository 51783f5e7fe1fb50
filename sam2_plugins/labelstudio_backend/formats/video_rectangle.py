"""Boxes on video: a region is a sequence of keyframes, with straight lines between them.

Frames of Label Studio count from 1. A box is shown from its first keyframe on; a keyframe with
`enabled: false` shows it for the last time; the last keyframe holds to the end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sam2_plugins.labelstudio_backend.errors import FormatError
from sam2_plugins.labelstudio_backend.formats.geometry import PercentBox, number
from sam2_plugins.labelstudio_backend.label_config import VIDEO_SHAPE

MOST_FRAMES = 10_000_000
"""More than three days of video: a region with more is damaged."""


@dataclass(frozen=True)
class Keyframe:
    """The box of a region on one frame.

    Attributes
    ----------
    frame
        From 1 on.
    box, rotation
        x, y of the top left corner, width, height in percent; degrees.
    enabled
        Whether the box is still shown after this frame.
    raw
        As Label Studio keeps it, further keys too.
    """

    frame: int
    box: PercentBox
    enabled: bool
    rotation: float
    raw: Mapping[str, Any]


@dataclass(frozen=True)
class VideoRegion:
    """One object of a video annotation.

    Attributes
    ----------
    keyframes
        In order of time, one a frame.
    frames_count, duration
        Of the video in Label Studio's counting; None if the region has none.
    raw
        The result as it is, further keys too: its parent, whether it is read only.
    """

    id: str
    from_name: str
    to_name: str
    labels: tuple[str, ...]
    keyframes: tuple[Keyframe, ...]
    frames_count: int | None
    duration: float | None
    meta: Mapping[str, Any]
    raw: Mapping[str, Any] = field(default_factory=dict)


def read_region(result: Mapping[str, Any]) -> VideoRegion:
    """Read a result of type `videorectangle`.

    Raises
    ------
    FormatError
        If it is none.
    """
    value = result.get("value")
    if not isinstance(value, Mapping) or not isinstance(value.get("sequence"), Sequence):
        raise FormatError("A video region has no sequence of keyframes.")
    keyframes = {k.frame: k for k in map(_read_keyframe, value["sequence"])}
    labels = value.get("labels")
    meta = result.get("meta")
    count = int(number(value, "framesCount")) if value.get("framesCount") else None
    if count is not None and not 0 < count <= MOST_FRAMES:
        raise FormatError(f"A video region's framesCount is {count}.")
    return VideoRegion(
        id=str(result.get("id", "")),
        from_name=str(result.get("from_name", "")),
        to_name=str(result.get("to_name", "")),
        labels=tuple(map(str, labels)) if isinstance(labels, list) else (),
        keyframes=tuple(keyframes[frame] for frame in sorted(keyframes)),
        frames_count=count,
        duration=number(value, "duration") if value.get("duration") else None,
        meta=meta if isinstance(meta, Mapping) else {},
        raw=result,
    )


def interpolate(keyframes: Sequence[Keyframe], frame: int) -> PercentBox | None:
    """Return the box that Label Studio's editor shows on a frame; None if it shows none."""
    shown = turned_box(keyframes, frame)
    return shown[0] if shown else None


def turned_box(keyframes: Sequence[Keyframe], frame: int) -> tuple[PercentBox, float] | None:
    """Return what `interpolate` does, and the degrees by which the box is turned."""
    after = bisect_right([k.frame for k in keyframes], frame)
    if after == 0:
        return None
    before = keyframes[after - 1]
    if before.frame != frame and not before.enabled:
        return None
    if before.frame == frame or after == len(keyframes):
        return before.box, before.rotation
    following = keyframes[after]
    share = (frame - before.frame) / (following.frame - before.frame)
    x, y, w, h = (a + (b - a) * share for a, b in zip(before.box, following.box, strict=True))
    turn = (following.rotation - before.rotation + 180) % 360 - 180
    return (x, y, w, h), before.rotation + turn * share


def keyframe_dict(frame: int, box: PercentBox, enabled: bool, framerate: float) -> dict[str, Any]:
    """Return a keyframe with every key that the editor and the export want."""
    x, y, width, height = box
    return {
        "frame": frame,
        "enabled": enabled,
        "rotation": 0,
        "x": x,
        "y": y,
        "width": width,
        "height": height,
        "time": frame / framerate,
    }


def _read_keyframe(raw: Any) -> Keyframe:
    if not isinstance(raw, Mapping):
        raise FormatError(f"A keyframe is {raw!r} instead of an object.")
    frame = number(raw, "frame")
    if frame < 1 or frame != int(frame):
        raise FormatError(f"A keyframe's frame is {frame:g}; frames count 1, 2, 3 …")
    x, y, width, height = (number(raw, key) for key in ("x", "y", "width", "height"))
    enabled = raw.get("enabled", True)
    return Keyframe(
        int(frame), (x, y, width, height), bool(enabled), number(raw, "rotation", 0), raw
    )


def read_regions(
    results: Iterable[Mapping[str, Any]], left: dict[str, str] | None = None
) -> list[VideoRegion]:
    """Return the video boxes among results; those with the same id are one, the later one.

    Parameters
    ----------
    left
        Gets the ids of those that are damaged, with the reasons.

    Raises
    ------
    FormatError
        If one is damaged, without `left`.
    """
    found = {}
    for result in results:
        if result.get("type") == VIDEO_SHAPE:
            try:
                region = read_region(result)
            except FormatError as error:
                if left is None:
                    raise
                left[str(result.get("id", ""))] = str(error)
                continue
            if region.keyframes:
                found[region.id] = region
    return list(found.values())
