"""What people do to a dataset after the first run, and run again: no object is there twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fiftyone as fo
import numpy as np
import pytest

from sam2_plugins.fiftyone_plugin import propagate
from sam2_plugins.fiftyone_plugin.finding import find_footage
from sam2_plugins.fiftyone_plugin.records import find_done
from sam2_plugins.fiftyone_plugin.request import MovieReport, Request
from sam2_plugins.fiftyone_plugin.videos import Video
from tests.hosts.fiftyone.conftest import FRAMES, disc, label, masks, put

LAST = 6
NAMES = [{"index": None}, {"index": 1}, {"index": 1, "instance": True}]


def tracked(movie: Any, **names: Any) -> Any:
    """Track a disc by the mask of the first frame."""
    if names.get("instance"):
        names["instance"] = fo.Instance()
    put(movie, 1, "seed", label(1, 1, **names))
    propagate(movie, "seed", last=LAST)
    return movie


def again(samples: Any, **how: Any) -> MovieReport:
    (report,) = propagate(samples, "seed", last=LAST, **how).movies
    samples.reload()
    return report


def objects(samples: Any, field: str = "sam2") -> list[int]:
    """How many objects there are on each frame."""
    frames = samples.first().frames.values()
    return [len(frame[field].detections) for frame in frames if frame[field]]


def seed(samples: Any) -> Any:
    (one,) = samples.first().frames[1].seed.detections
    return one


def change_seed(samples: Any, **values: Any) -> None:
    sample = samples.first()
    (one,) = sample.frames[1].seed.detections
    for name, value in values.items():
        one[name] = value
    sample.save()


def copied(movie: Any) -> Any:
    other = fo.Dataset()
    other.add_samples([sample.copy() for sample in movie])
    return other


def merged(movie: Any) -> Any:
    other = fo.Dataset()
    other.merge_samples(movie)
    return other


@pytest.mark.parametrize("names", NAMES, ids=["nothing", "index", "instance"])
@pytest.mark.parametrize("move", [copied, merged, lambda movie: movie.clone()])
def test_a_dataset_that_was_moved_is_as_it_was(
    movie: Any, names: dict[str, Any], move: Callable[[Any], Any]
) -> None:
    other = move(tracked(movie, **names))
    assert again(other).computed == 0
    assert objects(other) == [1] * LAST
    instances = {
        frame.sam2.detections[0].instance.id
        for frame in other.first().frames.values()
        if frame.sam2
    }
    assert len(instances) == 1


def test_tracks_that_a_merge_has_doubled_are_one_again(movie: Any) -> None:
    tracked(movie, instance=True)
    sample = movie.first()
    for frame in sample.frames.values():
        if frame.has_field("sam2") and frame.sam2:
            frame.sam2.detections += [
                fo.Detection(**{n: one[n] for n in one.field_names if n != "id"})
                for one in frame.sam2.detections
            ]
    sample.save()
    assert objects(movie) == [2] * LAST
    assert again(movie).computed == 0
    assert objects(movie) == [1] * LAST


def test_a_class_that_is_renamed_on_the_prompt_is_renamed_on_the_track(movie: Any) -> None:
    tracked(movie)
    change_seed(movie, label="nucleus")
    assert again(movie).computed == 0
    assert objects(movie) == [1] * LAST
    assert movie.distinct("frames.sam2.detections.label") == ["nucleus"]


def test_an_index_that_is_taken_off_the_prompt_stays_on_the_track(movie: Any) -> None:
    tracked(movie)
    change_seed(movie, index=None)
    assert again(movie).computed == 0
    assert movie.distinct("frames.sam2.detections.index") == [1]
    assert objects(movie) == [1] * LAST


def test_an_equal_prompt_that_was_imported_goes_on_with_its_track(movie: Any) -> None:
    tracked(movie, index=None)
    before = seed(movie).id
    put(movie, 1, "seed", label(1, 1, index=None))
    assert seed(movie).id != before
    assert again(movie).computed == 0
    assert objects(movie) == [1] * LAST


def test_frames_that_become_images_keep_their_tracks(movie: Any, tmp_path: Path) -> None:
    tracked(movie)
    movie.compute_metadata()
    frames = movie.to_frames(sample_frames=True, output_dir=str(tmp_path)).limit(LAST)
    images = frames.clone()
    how = {"group_by": "sample_id", "order_by": "frame_number"}
    (report,) = propagate(images, "seed", **how).movies
    assert report.computed == 0
    assert images.count("sam2.detections") == LAST


def test_tracks_without_a_prompt_are_named_and_removed_by_choice(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1), label(2, 1))
    propagate(movie, "seed", last=LAST)
    put(movie, 1, "seed", label(2, 1))
    report = propagate(movie, "seed", last=LAST)
    assert report.movies[0].unprompted == ("disc 1",)
    assert "1 tracks without a prompt" in str(report)
    assert "disc 1" in report.problems[0]
    assert objects(movie) == [2] * LAST
    report = propagate(movie, "seed", last=LAST, remove_unprompted=True)
    assert not report.problems
    assert "1 tracks removed" in str(report)
    movie.reload()
    assert movie.distinct("frames.sam2.detections.index") == [2]


def test_a_track_whose_prompt_is_only_not_chosen_is_no_orphan(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1, index=None), label(2, 1, index=None))
    propagate(movie, "seed", last=LAST)
    put(movie, 2, "other", label(1, 2, index=3))
    report = propagate(movie, ["seed", "other"], last=LAST, prompt_frames=[2])
    assert report.movies[0].unprompted == ()


def test_a_track_that_is_prompted_outside_of_a_clip_is_no_orphan_there(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagate(movie, "seed", last=6)
    clips = movie.to_clips([[(1, 3), (5, 6)]])
    report = propagate(clips, "seed", remove_unprompted=True)
    assert [one.unprompted for one in report.movies] == [(), ()]
    assert sorted(masks(movie)) == [1, 2, 3, 4, 5, 6]


def test_masks_outside_of_a_narrower_range_are_marked_as_outdated(movie: Any) -> None:
    tracked(movie)
    put(movie, 1, "seed", label(1, 1, "box"))
    report = propagate(movie, "seed", last=3)
    assert report.movies[0].outdated == ("disc 1, frames 4 to 6",)
    movie.reload()
    tags = [frame.sam2.detections[0].tags for frame in movie.first().frames.values() if frame.sam2]
    assert tags == [[], [], [], ["outdated"], ["outdated"], ["outdated"]]
    assert again(movie).outdated == ()
    assert movie.count_label_tags() == {}


def test_runs_in_both_directions_complete_each_other(movie: Any) -> None:
    put(movie, 4, "seed", label(1, 4))
    propagate(movie, "seed", last=LAST)
    (report,) = propagate(movie, "seed", direction="backward").movies
    assert (report.computed, report.outdated) == (3, ())
    (report,) = propagate(movie, "seed", direction="both", last=LAST).movies
    assert (report.frames, report.computed) == (LAST, 0)


def test_what_people_put_on_machine_labels_survives_a_recomputation(movie: Any) -> None:
    tracked(movie)
    sample = movie.first()
    (one,) = sample.frames[3].sam2.detections
    one.tags.append("checked")
    one["stage"] = "G2"
    one.label, one.index = "mother", 7
    one.attributes["sure"] = fo.BooleanAttribute(value=True)
    sample.save()
    change_seed(movie, mask=np.ones_like(seed(movie).mask))
    assert again(movie).computed == LAST
    (one,) = movie.first().frames[3].sam2.detections
    assert (one.tags, one["stage"], one.label, one.index) == (["checked"], "G2", "mother", 7)
    assert one.attributes["sure"].value
    (next_one,) = movie.first().frames[4].sam2.detections
    assert (next_one.label, next_one.index) == ("disc", 1)


def test_what_people_wrote_on_a_frame_beside_its_labels_stays(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    put(movie, 2, "sam2", label(2, 2))
    sample = movie.first()
    sample.frames[2].sam2["reviewer"] = "Ada"
    sample.save()
    propagate(movie, "seed", last=3)
    movie.reload()
    assert movie.first().frames[2].sam2["reviewer"] == "Ada"


def test_an_index_that_a_person_gave_a_machine_label_stays(movie: Any) -> None:
    tracked(movie)
    sample = movie.first()
    sample.frames[3].sam2.detections[0].index = 9
    sample.save()
    assert again(movie).computed == 0
    assert movie.first().frames[3].sam2.detections[0].index == 9


def test_a_corrected_mask_is_a_keyframe_of_which_no_machine_is_sure(movie: Any) -> None:
    tracked(movie)
    sample = movie.first()
    (one,) = sample.frames[3].sam2.detections
    one.mask = np.ones_like(one.mask)
    sample.save()
    again(movie)
    (one,) = movie.first().frames[3].sam2.detections
    assert one.mask.all()
    assert (one.keyframe, one.confidence, one.object_score) == (True, None, None)
    assert (one.doubt, one.doubt_reasons) == (None, None)


def test_a_label_that_a_person_added_keeps_its_own_instance(movie: Any) -> None:
    tracked(movie)
    mine = fo.Instance()
    put(movie, 3, "sam2", label(1, 3, instance=mine))
    again(movie)
    (one,) = movie.first().frames[3].sam2.detections
    assert one.instance.id == mine.id
    assert objects(movie) == [1] * LAST


def test_a_correction_is_found_again_in_a_copy(movie: Any) -> None:
    tracked(movie, index=None)
    sample = movie.first()
    (one,) = sample.frames[3].sam2.detections
    one.mask = np.ones_like(one.mask)
    sample.save()
    other = copied(movie)
    assert again(other).objects == 1
    assert objects(other) == [1] * LAST


def test_a_finished_movie_is_passed_over_until_somebody_changes_it(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagate(movie, "seed")
    steps: list[Any] = []
    assert propagate(movie, "seed", on_progress=steps.append).movies[0].frames == FRAMES
    assert not steps
    put(movie, 5, "sam2", label(1, 5))
    propagate(movie, "seed", on_progress=steps.append)
    assert steps
    movie.reload()
    assert (masks(movie)[5][1] == disc(4, 1)).all()


def test_a_finished_movie_is_passed_over_whatever_it_is_called_in_messages(
    movie: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagate(movie, "seed", last=3)
    (footage,) = find_footage(movie)
    renamed = [replace(footage, name="another")]
    monkeypatch.setattr("sam2_plugins.fiftyone_plugin.api.find_footage", lambda *_: renamed)
    opened: list[Any] = []
    monkeypatch.setattr(Video, "open", opened.append)
    assert propagate(movie, "seed", last=3).movies[0].frames == 3
    assert not opened


def test_masks_of_an_object_in_another_clip_are_not_outdated(movie: Any) -> None:
    for frame in (1, 5):
        put(movie, frame, "seed", label(1, frame))
    report = propagate(movie.to_clips([[(1, 3), (5, 7)]]), "seed")
    assert report.count("done") == 2
    assert not report.problems
    movie.reload()
    assert movie.count_label_tags() == {}


def test_masks_beyond_a_clip_are_outdated_if_those_within_were_of_the_same_prompts(
    movie: Any,
) -> None:
    tracked(movie)
    change_seed(movie, mask=np.ones_like(seed(movie).mask))
    (report,) = propagate(movie.to_clips([[(1, 3)]]), "seed").movies
    assert report.outdated == (f"disc 1, frames 4 to {LAST}",)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the movies that a run has not passed over."""
    names: list[str] = []
    whole = Video.open

    def tell(self: Video) -> Any:
        names.append(self.name)
        return whole(self)

    monkeypatch.setattr(Video, "open", tell)
    return names


@pytest.mark.parametrize("together", [False, True])
def test_each_clip_of_a_video_is_passed_over_until_somebody_changes_it(
    movie: Any, opened: list[str], together: bool
) -> None:
    for frame in (1, 5):
        put(movie, frame, "seed", label(1, frame))
    clips = movie.to_clips([[(1, 3), (5, 7)]])
    for some in [clips] if together else [clips.select(id_) for id_ in clips.values("id")]:
        propagate(some, "seed")
    opened.clear()
    propagate(clips, "seed")
    assert not opened
    put(movie, 6, "sam2", label(1, 6))
    propagate(clips, "seed")
    assert opened == ["discs.mp4, frames 5 to 7"]


def test_clips_that_begin_on_one_frame_are_each_passed_over(movie: Any, opened: list[str]) -> None:
    put(movie, 1, "seed", label(1, 1))
    clips = movie.to_clips([[(1, 3), (1, 5)]])
    for _ in range(2):
        propagate(clips, "seed")
    opened.clear()
    propagate(clips, "seed")
    assert not opened


def test_a_finished_video_that_somebody_deletes_meanwhile_is_not_done(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagate(movie, "seed", last=3)
    request = Request(prompt_fields=("seed",), last=3)
    movies = find_footage(movie)
    assert len([*find_done(movies, request)]) == 1
    movie.delete_samples(movie)
    assert not [*find_done(movies, request)]


@pytest.mark.parametrize("kind", ["box", "mask"])
def test_objects_of_merged_datasets_that_have_one_name_stay_two(
    movie: Any, video: Path, kind: str
) -> None:
    put(movie, 1, "seed", label(1, 1, kind))
    propagate(movie, "seed", last=LAST)
    other = fo.Dataset()
    other.add_sample(fo.Sample(str(video)))
    put(other, 1, "seed", label(2, 1, kind, index=1))
    propagate(other, "seed", last=LAST)
    both = merged(movie)
    both.merge_samples(other)
    for _ in range(2):
        (report,) = propagate(both, "seed", last=LAST).movies
        assert (report.computed, report.objects, report.unprompted) == (0, 2, ())
        assert len(report.problems) == 1
        assert both.values("frames.sam2.detections.index", unwind=2) == [1, 2] * LAST
    assert "it is tracked as disc 2" in report.problems[0]
