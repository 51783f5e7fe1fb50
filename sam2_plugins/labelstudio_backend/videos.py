"""Boxes on video: a person's boxes become prompts, and tracked masks few keyframes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.masks.masklet import spans_of
from sam2_plugins.core.prompts import Prompt
from sam2_plugins.labelstudio_backend import keyframes
from sam2_plugins.labelstudio_backend.errors import FormatError, NothingToDo
from sam2_plugins.labelstudio_backend.formats import geometry
from sam2_plugins.labelstudio_backend.formats.geometry import FrameSize
from sam2_plugins.labelstudio_backend.formats.video_rectangle import (
    Keyframe,
    VideoRegion,
    interpolate,
    read_region,
    read_regions,
)
from sam2_plugins.labelstudio_backend.label_config import VIDEO_SHAPE, Control, Media
from sam2_plugins.labelstudio_backend.projects import track_button
from sam2_plugins.labelstudio_backend.regions import with_note, without_note
from sam2_plugins.labelstudio_backend.request import TaskRequest
from sam2_plugins.labelstudio_backend.timing import FrameClock, pack_frames
from sam2_plugins.labelstudio_backend.tracking import MovieFacts, Tracked
from sam2_plugins.labelstudio_backend.work import Answered, Filled, Results, Work

CREDIBLE, SHORT = 10, 0.98
"""How many times as many frames as in the file a region may count, and what share of them at least:
fewer are of a frame rate that the labelling config had earlier, or of a video not yet loaded."""


@dataclass(frozen=True)
class VideoView:
    """How Label Studio sees a movie.

    Attributes
    ----------
    masks
        Which masks travel in the keyframes: "keyframes", "all" or "none".
    """

    clock: FrameClock
    size: FrameSize
    masks: str = "keyframes"


def fill(request: TaskRequest, media: Media, work: Work) -> Filled:
    """Return the boxes of a video, tracked."""
    labels = {c.name: c.labels for c in media.controls if c.shape == VIDEO_SHAPE}
    left: dict[str, str] = {}
    regions = [r for r in read_regions(request.results, left) if r.from_name in labels]
    if not regions and left:
        raise FormatError(next(iter(left.values())))
    if not regions:
        raise NothingToDo("There is no box to track yet: draw one, and save the annotation.")
    movie = work.open(request, media)
    view = view_of(work.facts_of(movie), media.rate, regions, request.settings.masks)
    prompts = {r.id: own for r in regions if (own := prompts_of(r, view))}
    tracked = [region for region in regions if region.id in prompts]
    left |= {r.id: reason for r in regions if (reason := _no_prompts(r, view))}
    if not tracked and left:
        raise FormatError(next(iter(left.values())))
    if not tracked:
        raise NothingToDo("All boxes here are the model's own: move one, or draw another.")

    def write(found: Tracked) -> tuple[Results, Answered]:
        made = [answer_region(r, found.masks.of_object(r.id), view) for r in tracked]
        return made, {region.id: (region.id,) for region in tracked}

    if request.config.buttons:
        again = f"press {request.config.buttons[0]} with the box selected"
    else:
        again = (
            "give the box another label and then its own again: Label Studio sends a box only when "
            "its label changes. Better, add a button to the labelling config: "
            f"{track_button(media.name)}"
        )
    made = replace(work.follow(request, movie, prompts, write, again), left=left)
    if not request.interactive:
        return made
    noted = []
    for region, result in zip(tracked, made.results, strict=True):
        bare = not region.labels and labels[region.from_name]
        more = "If it has no label yet, press its label's key." if bare else ""
        parts = (left.get(region.id), made.note, more)
        noted += with_note([result], " ".join(filter(None, parts)))
    return replace(made, results=noted)


def prompts_of(region: VideoRegion, view: VideoView) -> list[Prompt]:
    """Return the prompts of an object: a person's box on each keyframe that is not ours."""
    shown = view.clock.shown
    boxes = {}
    for keyframe in _of_a_person(region):
        if keyframe.frame <= len(shown) and (box := _on_picture(keyframe, view)):
            boxes[int(shown[keyframe.frame - 1])] = box
    return [Prompt.of(frame, region.id, box=box) for frame, box in sorted(boxes.items())]


def _on_picture(keyframe: Keyframe, view: VideoView) -> geometry.Box | None:
    """Return a keyframe's box in pixels; None if it is empty or outside of the picture."""
    box = geometry.upright(keyframe.box, keyframe.rotation, view.size)
    return box if geometry.meets(box, view.size) else None


def _no_prompts(region: VideoRegion, view: VideoView) -> str:
    """Return why boxes of a person are no prompts: they are outside of the video; "" if none is."""
    last, told = view.clock.count, ""
    drawn = _of_a_person(region)
    if late := [str(k.frame) for k in drawn if k.frame > last]:
        told = (
            f"A box is on frame {', '.join(late[:5])}, and the video ends with frame {last} at the "
            f"frameRate {view.clock.rate:g} of the labelling config: no prompt. Set frameRate to "
            "that of the video, or delete the box there. "
        )
    if off := [str(k.frame) for k in drawn if k.frame <= last and not _on_picture(k, view)]:
        told += (
            f"The box on frame {', '.join(off[:5])} is empty or outside of the picture: no prompt. "
            "Move it onto the object, or delete it there."
        )
    return told.strip()


def new_region(
    obj: str, control: Control, label: str, masks: Mapping[int, ObjectMask], view: VideoView
) -> dict[str, Any]:
    """Return a region of an object that nobody has drawn: shown where it is found, and hidden
    elsewhere.
    """
    about = {"id": obj, "from_name": control.name, "to_name": control.to_name}
    empty = {"value": {"labels": [label], "sequence": []}}
    return answer_region(read_region({**about, **empty}), masks, view)


def answer_region(
    region: VideoRegion, masks: Mapping[int, ObjectMask], view: VideoView
) -> dict[str, Any]:
    """Return a region with the tracked boxes between a person's, as few keyframes.

    Parameters
    ----------
    masks
        By frame of the file; what is not tracked yet is not shown.
    """
    shown = view.clock.shown
    by_frame = {f: m for f, at in enumerate(shown.tolist(), start=1) if (m := masks.get(at))}
    persons = {keyframe.frame: keyframe for keyframe in _of_a_person(region)}
    hidden = _hidden(region, len(shown))
    boxes: dict[int, Sequence[float]] = {
        frame: around
        for frame, mask in by_frame.items()
        if frame not in hidden and (around := mask.box) is not None
    }
    boxes |= {frame: geometry.upright(k.box, 0, view.size) for frame, k in persons.items()}
    boxes |= _shown_on(region, boxes, view)
    sequence: dict[int, dict[str, Any]] = {}
    ends = {frame for frame, one in persons.items() if not one.enabled}
    for stretch in _stretches(boxes, ends):
        last = stretch[-1]
        chosen = _thin(stretch, boxes, persons)
        for frame, after in zip(chosen, [*list(chosen)[1:], last + 1], strict=True):
            carried = _masks(by_frame, frame, after, view)
            if frame in persons:
                sequence[frame] = keyframes.keep_keyframe(persons[frame], view.clock.rate, carried)
            else:
                box = geometry.percent_box(chosen[frame], view.size)
                goes_on = frame != last or frame == len(shown)
                sequence[frame] = keyframes.make_keyframe(
                    frame, box, goes_on, view.clock.rate, carried
                )
        if last in persons and persons[last].enabled and last < len(shown):
            # A person's keyframe stays as it is; the next one ends what it would leave standing.
            sequence[last + 1] = keyframes.make_keyframe(
                last + 1, persons[last].box, False, view.clock.rate, None
            )
    thinned = [sequence[frame] for frame in sorted(sequence)]
    if thinned:  # once is enough, wherever the editor leaves it
        thinned[0] = keyframes.with_frames(thinned[0], pack_frames(shown))
    return _result(region, thinned, view)


def _result(region: VideoRegion, sequence: list[dict[str, Any]], view: VideoView) -> dict[str, Any]:
    """Return the region as it was, but for its keyframes and our note."""
    value: dict[str, Any] = {
        **region.raw.get("value", {}),
        "framesCount": view.clock.count,
        "duration": region.duration or view.clock.count / view.clock.rate,
        "sequence": sequence,
        "labels": list(region.labels),
    }
    if not region.labels:
        del value["labels"]
    result = {**region.raw, "type": VIDEO_SHAPE, "origin": "prediction", "value": value}
    return {**result, "meta": without_note(region.meta)} if region.meta else result


def _of_a_person(region: VideoRegion) -> list[Keyframe]:
    return [keyframe for keyframe in region.keyframes if not keyframes.is_ours(keyframe)]


def _hidden(region: VideoRegion, count: int) -> set[int]:
    """Frames where a person has hidden the object: from a keyframe to the one that follows."""
    ends = [keyframe.frame for keyframe in region.keyframes[1:]] + [count + 1]
    hidden: set[int] = set()
    for keyframe, end in zip(region.keyframes, ends, strict=False):  # there may be none
        if not keyframe.enabled and not keyframes.is_ours(keyframe):
            hidden.update(range(keyframe.frame + 1, end))
    return hidden


def _shown_on(
    region: VideoRegion, known: Collection[int], view: VideoView
) -> dict[int, Sequence[float]]:
    """Boxes where a person has a lost object shown, up to the next one that is known."""
    found: dict[int, Sequence[float]] = {}
    for keyframe in filter(keyframes.is_shown_on, region.keyframes):
        for frame in range(keyframe.frame + 1, len(view.clock.shown) + 1):
            box = interpolate(region.keyframes, frame)
            if frame in known or box is None:
                break
            found[frame] = geometry.upright(box, 0, view.size)
    return found


def _stretches(frames: Iterable[int], ends: Collection[int]) -> Iterator[range]:
    """Yield the frames without a gap, apart where a person has hidden the object on one of them."""
    for first, last in spans_of(frames):
        cuts = [frame for frame in range(first, last) if frame in ends]
        for start, end in pairwise([first, *(frame + 1 for frame in cuts), last + 1]):
            yield range(start, end)


def _thin(
    stretch: Sequence[int], boxes: Mapping[int, Sequence[float]], persons: Mapping[int, Keyframe]
) -> dict[int, Sequence[float]]:
    """Return the corners on those frames of a stretch that become keyframes."""
    corners = np.array([boxes[frame] for frame in stretch], dtype=float)
    fixed = {i for i, frame in enumerate(stretch) if frame in persons}
    turned = {i for i in fixed if persons[stretch[i]].rotation}
    # The editor turns the boxes between two keyframes bit by bit: the next ones are upright again.
    fixed |= {i for one in turned for i in (one - 1, one + 1) if 0 <= i < len(stretch)}
    chosen = keyframes.thin(np.array(stretch), corners, fixed)
    return {stretch[i]: box.tolist() for i, box in chosen.items()}


def _masks(
    masks: Mapping[int, ObjectMask], frame: int, after: int, view: VideoView
) -> dict[str, Any] | None:
    """Return the masks that travel in a keyframe, as COCO RLE by Label Studio's frame."""
    if view.masks == "none":
        return None
    end = after if view.masks == "all" else frame + 1
    found = ((f, masks.get(f)) for f in range(frame, max(end, frame + 1)))
    return {str(f): dict(mask.to_rle()) for f, mask in found if mask is not None and mask.visible}


def view_of(
    facts: MovieFacts, rate: float, regions: Sequence[VideoRegion], masks: str
) -> VideoView:
    """Return how Label Studio sees a movie, by its counts in the regions."""
    clock = FrameClock.of(rate, facts.times)
    counts = (region.frames_count or 0 for region in regions)
    least, most = SHORT * clock.count - 1, CREDIBLE * clock.count + CREDIBLE
    count = next((n for n in counts if max(1, least) <= n <= most), clock.count)
    return VideoView(replace(clock, count=count), facts.size, masks)
