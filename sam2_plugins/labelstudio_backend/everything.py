"""All objects, and their divisions, of a task without an annotation."""

from __future__ import annotations

from collections.abc import Generator

from sam2_plugins.labelstudio_backend import images, videos
from sam2_plugins.labelstudio_backend.errors import NothingToDo
from sam2_plugins.labelstudio_backend.label_config import Media
from sam2_plugins.labelstudio_backend.regions import daughter_of, with_note
from sam2_plugins.labelstudio_backend.request import TaskRequest
from sam2_plugins.labelstudio_backend.tracking import Tracked
from sam2_plugins.labelstudio_backend.work import Answered, Filled, Results, Work


def fill(request: TaskRequest, media: Media, work: Work) -> Filled:
    """Return a region of each object, or of each of its pages."""
    label, options = request.settings.everything, request.settings.tracking
    control = media.output(label)
    movie = work.open(request, media)
    if media.kind == "Video":
        view = videos.view_of(work.facts_of(movie), media.rate, (), request.settings.masks)

    def write(found: Tracked) -> tuple[Results, Answered]:
        made: dict[str, Results] = {}
        for obj in found.masks.objects:
            by_frame = found.masks.of_object(obj)
            if media.kind == "Video":
                made[obj] = [videos.new_region(obj, control, label, by_frame, view)]
                continue
            target, made[obj] = images.Target(obj, (label,)), []
            for page, mask in by_frame.items():
                at = page if media.is_stack else None
                made[obj] += images.write_mask(mask, control, target, at)
        written = [one for results in made.values() for one in results]
        written = with_note(written, found.note) if found.note else written
        divided = ((d, m) for d, m in found.parents.items() if made.get(d) and made.get(m))
        return [*written, *(daughter_of(made[m][-1], made[d][0]) for d, m in divided)], {}

    def steps(tracked: Tracked) -> Generator[None, None, None]:
        with movie.frames:
            yield from work.tracks.find(movie, options, request.settings.max_frames, tracked)

    made = work.wait(request, [movie.fingerprint, options.identity()], steps, [], write, "")
    if made.is_whole and not made.results:
        raise NothingToDo("The model finds no object there.")
    return made
