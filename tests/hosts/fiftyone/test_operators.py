"""The operator on videos, in the real FiftyOne with its real database."""

from __future__ import annotations

from typing import Any

import fiftyone as fo
import fiftyone.operators as foo
import pytest
from fiftyone.operators.executor import ExecutionError

from sam2_plugins.fiftyone_plugin import evaluate, propagate
from sam2_plugins.fiftyone_plugin.footage import FootageError
from tests.hosts.fiftyone.conftest import FRAMES, Execute, disc, label, masks, overlap, put


def propagated(execute: Execute, samples: Any, **params: Any) -> Any:
    return execute("propagate_masks", samples, prompt_fields=["seed"], **params)


def requests(result: Any, name: str) -> list[dict[str, Any]]:
    asked = result.executor.to_json()["requests"]
    return [one["params"] for one in asked if one["operator_uri"].endswith(name)]


def test_fiftyone_sees_the_operators_and_the_panel() -> None:
    names = {one.name for one in foo.list_operators() if one.plugin_name == "@sam2-plugins/sam2"}
    assert {"propagate_masks", "stop_propagation"} <= names


@pytest.mark.parametrize("kind", ["mask", "box", "point", "outline"])
def test_a_label_on_the_first_frame_becomes_masks_on_all(
    movie: Any, execute: Execute, kind: str
) -> None:
    put(movie, 1, "seed", label(1, 1, kind), label(2, 1, kind))
    propagated(execute, movie)
    found = masks(movie)
    assert sorted(found) == list(range(1, FRAMES + 1))
    assert all(sorted(found[number]) == [1, 2] for number in found)
    for number in (1, 12, FRAMES):
        assert overlap(found[number][1], disc(number - 1, 1)) > 0.75
        assert overlap(found[number][2], disc(number - 1, 2)) > 0.75


def test_a_mask_comes_back_pixel_by_pixel(movie: Any, execute: Execute) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagated(execute, movie, last=2)
    assert (masks(movie)[1][1] == disc(0, 1)).all()


def test_a_prompt_on_frame_5_of_a_sparse_video_lands_on_frame_5(
    movie: Any, execute: Execute
) -> None:
    put(movie, 5, "seed", label(1, 5))
    assert list(movie.first().frames) == [5]
    propagated(execute, movie)
    found = masks(movie)
    assert sorted(found) == list(range(5, FRAMES + 1))
    assert (found[5][1] == disc(4, 1)).all()
    assert overlap(found[20][1], disc(19, 1)) > 0.75


def test_labels_carry_what_a_track_needs(movie: Any, execute: Execute) -> None:
    put(movie, 1, "seed", label(1, 1, "box"))
    propagated(execute, movie, last=3)
    frames = movie.first().frames
    made = [frames[number].sam2.detections[0] for number in (1, 2, 3)]
    assert len({one.instance.id for one in made}) == 1
    assert [one.keyframe for one in made] == [True, False, False]
    assert {(one.label, one.index) for one in made} == {("disc", 1)}
    assert all(0 < one.confidence <= 1 and one.object_score > 0 for one in made)


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("forward", range(8, 13)), ("backward", range(4, 9)), ("both", range(4, 13))],
)
def test_directions_keep_to_their_range(
    movie: Any, execute: Execute, direction: str, expected: range
) -> None:
    put(movie, 8, "seed", label(1, 8))
    propagated(execute, movie, direction=direction, first=4, last=12)
    assert sorted(masks(movie)) == list(expected)


def test_only_selected_samples_are_tracked(movie: Any, execute: Execute, video: Any) -> None:
    other = fo.Sample(str(video))
    movie.add_sample(other)
    for sample in movie:
        sample.frames[1] = fo.Frame(seed=fo.Detections(detections=[label(1, 1)]))
        sample.save()
    execute(
        "propagate_masks",
        movie,
        selected=[other.id],
        prompt_fields=["seed"],
        last=3,
        view_target="SELECTED_SAMPLES",
    )
    counts = [
        len(masks(movie.select(sample.id))) if sample.id == other.id else 0 for sample in movie
    ]
    assert counts == [0, 3]
    assert movie.count("frames.sam2.detections") == 3


def test_progress_is_live_and_the_app_is_told_to_reload(movie: Any, execute: Execute) -> None:
    put(movie, 1, "seed", label(1, 1))
    result = propagated(execute, movie)
    assert requests(result, "reload_dataset")
    (told,) = requests(result, "notify")
    assert told["message"] == f"SAM 2: 1 done: 1 objects on {FRAMES} frames"


def test_a_deleted_file_is_told_of_and_does_not_stop_the_others(
    movie: Any, execute: Execute
) -> None:
    movie.add_sample(fo.Sample("/nowhere/gone.mp4"))
    for sample in movie:
        sample.frames[1] = fo.Frame(seed=fo.Detections(detections=[label(1, 1)]))
        sample.save()
    result = propagated(execute, movie, last=3)
    (shown,) = requests(result, "show_output")
    assert "gone.mp4" in shown["results"]["problems"]
    assert shown["results"]["summary"].startswith("1 done, 1 failed")
    assert movie.count("frames.sam2.detections") == 3


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"prompt_fields": ["nope"]}, "no field 'nope'"),
        ({"prompt_fields": []}, "Choose a field"),
        ({"prompt_fields": ["seed"], "output_field": "created_at"}, "itself needs"),
        ({"prompt_fields": ["seed"], "output_field": "filepath"}, "itself needs"),
        ({"prompt_fields": ["seed"], "workers": 0}, "from 1, not 0"),
        ({"prompt_fields": ["seed"], "output_field": "a b"}, "no name of a field"),
        ({"prompt_fields": ["seed"], "output_field": "a" * 101}, "no name of a field"),
        ({"prompt_fields": ["seed"], "last": 2.5}, "last: 2.5 is no whole number"),
        ({"prompt_fields": ["seed"], "first": "two"}, "first: 'two' is no whole number"),
        ({"prompt_fields": ["seed"], "workers": "many"}, "workers: 'many' is no whole number"),
        ({"prompt_fields": ["seed"], "image_size": "big"}, "image_size: 'big' is no whole number"),
        ({"prompt_fields": ["seed"], "first": 9, "last": 3}, "9"),
        ({"prompt_fields": ["seed"], "prompt_frames": "one"}, "'one' is no frame number"),
        ({"prompt_fields": ["seed"], "prompt_frames": ["one"]}, "'one' is no frame number"),
        ({"prompt_fields": ["seed"], "prompt_frames": "9-3"}, "'9-3' is no frame number"),
        ({"prompt_fields": ["seed"], "prompt_frames": f"1-{10**30}"}, "is no frame number"),
        ({"prompt_fields": ["seed"], "model": "sam9"}, "sam9"),
    ],
)
def test_what_cannot_work_is_told_in_the_form(
    movie: Any, execute: Execute, params: dict[str, Any], message: str
) -> None:
    put(movie, 1, "seed", label(1, 1))
    with pytest.raises(ExecutionError, match=message) as caught:
        execute("propagate_masks", movie, **params)
    assert "Traceback" not in str(caught.value)


def test_a_read_only_field_of_results_is_told_of_before_anything_is_computed(
    movie: Any, execute: Execute
) -> None:
    put(movie, 1, "seed", label(1, 1))
    put(movie, 1, "sam2", label(1, 1))
    field = movie.get_field("frames.sam2")
    field.read_only = True
    field.save()
    for name, params in (
        ("propagate_masks", {"prompt_fields": ["seed"]}),
        ("evaluate_masklets", {"gt_field": "seed"}),
    ):
        with pytest.raises(ExecutionError, match="'sam2' is read-only"):
            execute(name, movie, **params)


@pytest.mark.parametrize(
    ("name", "params", "attribute"),
    [
        ("propagate_masks", {"prompt_fields": ["seed"]}, "doubt"),
        ("propagate_masks", {"all_objects": True}, "event"),
        ("evaluate_masklets", {"gt_field": "seed"}, "sam2_eval_J"),
    ],
)
def test_an_attribute_that_has_another_type_is_told_of_before_anything_is_computed(
    movie: Any, execute: Execute, name: str, params: dict[str, Any], attribute: str
) -> None:
    put(movie, 1, "seed", label(1, 1))
    put(movie, 1, "sam2", label(1, 1, **{attribute: ["none"]}))
    movie.add_dynamic_frame_fields()
    with pytest.raises(ExecutionError, match=f"'sam2' the attribute '{attribute}' .* rename it"):
        execute(name, movie, **params)


def test_scores_that_have_another_type_on_the_samples_are_told_of(movie: Any) -> None:
    put(movie, 1, "seed", label(1, 1))
    put(movie, 1, "sam2", label(1, 1))
    movie.add_sample_field("sam2_eval_F", fo.StringField)
    with pytest.raises(FootageError, match="The field 'sam2_eval_F' is there already"):
        evaluate(movie, "sam2", "seed")


def test_an_empty_view_is_told_of(movie: Any, execute: Execute) -> None:
    put(movie, 1, "seed", label(1, 1))
    with pytest.raises(ExecutionError, match="no samples"):
        propagated(execute, movie.match_tags("nothing"))


def test_single_images_are_told_of(dataset: Any, execute: Execute) -> None:
    dataset.add_sample(fo.Sample("/nowhere/image.png", seed=fo.Detections()))
    with pytest.raises(ExecutionError, match="segment_images"):
        propagated(execute, dataset)


def test_a_field_that_people_labelled_keeps_their_labels(movie: Any, execute: Execute) -> None:
    put(movie, 1, "seed", label(1, 1))
    put(movie, 3, "sam2", label(1, 3, "mask"))
    before = movie.first().frames[3].sam2.detections[0].id
    propagated(execute, movie, last=5)
    (still,) = movie.first().frames[3].sam2.detections
    assert still.id == before
    assert len(masks(movie)) == 5


def test_the_result_of_a_call_from_python_is_the_report(movie: Any, execute: Execute) -> None:
    put(movie, 1, "seed", label(1, 1))
    result = propagated(execute, movie, last=3).result
    assert result["summary"] == "1 done: 1 objects on 3 frames"
    called = foo.get_operator("@sam2-plugins/sam2/propagate_masks")(
        movie, prompt_fields=["seed"], last=3
    )
    assert called.result["movies"][0]["computed"] == 0


def test_the_function_does_what_the_operator_does(movie: Any, execute: Execute) -> None:
    put(movie, 1, "seed", label(1, 1))
    propagated(execute, movie, output_field="by_operator", last=6)
    report = propagate(movie, "frames.seed", "by_function", last=6)
    assert str(report) == "1 done: 1 objects on 6 frames"
    one, other = masks(movie, "by_operator"), masks(movie, "by_function")
    assert all((one[number][1] == other[number][1]).all() for number in range(1, 7))
