from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import tifffile

from sam2_plugins.cli.score_tables import show_model
from sam2_plugins.core import files
from sam2_plugins.core.datasets import load_dataset
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.evaluation import MeanReport
from sam2_plugins.core.evaluation.metrics import Scores, evaluate

QUICK = ("--image-size", "128")


@pytest.fixture
def dataset(discs, tmp_path) -> Path:
    """A folder with one dataset, of microscopy, in which only object 2 is scored."""
    images, labels = discs
    folder = tmp_path / "data" / "discs"
    (folder / "frames").mkdir(parents=True)
    (folder / "masks").mkdir()
    for index, (image, truth) in enumerate(zip(images, labels, strict=True)):
        tifffile.imwrite(folder / "frames" / f"{index:05d}.tif", image)
        tifffile.imwrite(folder / "masks" / f"{index:05d}.tif", truth)
    meta = {"name": "discs", "kind": "microscopy: discs", "eval_objects_frame0": [2]}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder


@pytest.fixture
def moved(discs, tmp_path) -> Path:
    """The true labels, moved by two pixels, as a prediction."""
    np.save(tmp_path / "moved.npy", np.roll(discs[1], 2, axis=2))
    return tmp_path / "moved.npy"


def test_the_scores_are_those_of_the_metrics(run, discs, moved, tmp_path):
    np.save(tmp_path / "truth.npy", discs[1])
    told = run("evaluate", moved, tmp_path / "truth.npy", "--json", "--per-object").json
    expected = evaluate(np.load(moved), discs[1]).to_dict(per_object=True)
    assert told == json.loads(json.dumps(expected))


def test_a_dataset_brings_its_own_rules(run, discs, moved, dataset):
    told = run("evaluate", moved, dataset, "--json").json
    expected = evaluate(np.load(moved), discs[1], objects=[2], bound=2, absent="ignore")
    assert told["n_objects"] == 1
    assert told["F"] == expected.F


def test_an_option_overrules_the_dataset(run, moved, dataset):
    told = run("evaluate", moved, dataset, "--objects", "1,2", "--json").json
    assert told["n_objects"] == 2


def test_people_get_a_table(run, moved, dataset):
    result = run("evaluate", moved, dataset)
    assert result.code == 0
    assert "J&F" in result.out
    assert "mean of 1" in result.out


def test_stacks_that_do_not_fit_exit_with_1_and_both_sizes(run, dataset, tmp_path):
    np.save(tmp_path / "short.npy", np.zeros((2, 96, 128), np.uint8))
    result = run("evaluate", tmp_path / "short.npy", dataset)
    assert result.code == 1
    assert "2 frames were predicted, but the truth has 6" in result.err


def test_a_truth_without_an_object_is_an_error_that_says_so(run, discs, tmp_path):
    for name, labels in (("pred", discs[1]), ("empty", discs[1] * 0)):
        np.save(tmp_path / f"{name}.npy", labels)
    result = run("evaluate", tmp_path / "pred.npy", tmp_path / "empty.npy")
    assert result.code == 1
    assert "no object to score" in result.err


def test_a_dataset_equals_the_reference_scorer(run, shared_data, tmp_path):
    folder = shared_data / "ecoli_phase_trpL"
    np.save(tmp_path / "moved.npy", np.roll(load_dataset(folder).truth, 3, axis=1))
    script = [sys.executable, shared_data / "evaluate.py", folder, tmp_path / "moved.npy"]
    reference = subprocess.run(script, capture_output=True, check=True, text=True)
    told = run("evaluate", tmp_path / "moved.npy", folder, "--json").json
    assert told == pytest.approx(json.loads(reference.stdout))


def test_whatever_can_be_learned_from_is_scored_with_its_movie(
    run, nano, discs, movie, export, tmp_path
):
    np.save(tmp_path / "labels.npy", discs[1])
    how = ("--movie", movie, *QUICK, "--json")
    for labels in (tmp_path / "labels.npy", export):
        told = run("evaluate-model", nano, "--data", labels, *how).json
        assert told["sequences"][0]["n_objects"] == 2
        assert told["sequences"][0]["J"] > 0.5
    assert "--movie belongs to --model" in run("evaluate", export, movie, *how[:2]).err


def test_a_model_is_scored_on_every_dataset_of_a_folder(run, nano, dataset):
    arguments = ("evaluate-model", nano, *QUICK, "--data", dataset.parent, "--prompt", "mask")
    told = run(*arguments, "--json").json
    (report,) = told["sequences"]
    assert (told["model"], told["prompt"]) == ("nano", "mask")
    assert (report["name"], report["n_objects"], report["prompt_iou"]) == ("discs", 1, 1.0)
    (mean,) = told["means"]
    assert (mean["kind"], mean["sequences"], mean["J"]) == ("microscopy", 1, report["J"])


def test_the_table_of_a_model_has_the_means(run, nano, dataset):
    result = run("evaluate-model", nano, *QUICK, "--data", dataset.parent, "--prompt", "click")
    assert "mean microscopy" in result.out
    assert "synthetic time-lapses only" in result.err


def test_where_nothing_comes_after_the_prompt_nothing_is_said_of_it(
    run, nano, discs, movie, tmp_path
):
    np.save(tmp_path / "one.npy", discs[1][:1])
    told = run("evaluate", tmp_path / "one.npy", "--model", nano, *QUICK, "--movie", movie)
    assert told.code == 0
    assert "Peak memory" in told.err
    assert "nan%" not in told.err


def test_the_share_of_the_objects_that_were_reached_is_told(capsys):
    scores = Scores(**dict.fromkeys((field.name for field in fields(Scores)), 0.5))
    show_model([], [MeanReport("natural", 2, 0.5, scores, 1.0, 2.0, 0.4, 1.5)])
    assert "natural: 40% of the objects reached J 0.75, after 1.5" in capsys.readouterr().err


def test_labels_alone_ask_for_their_movie(run, moved):
    result = run("evaluate-model", "nano", "--data", moved)
    assert result.code == 1
    assert "moved.npy has no movie beside it: give the movie of these labels" in result.err


def test_a_folder_without_a_dataset_exits_with_1(run, tmp_path):
    result = run("evaluate-model", "nano", "--data", tmp_path)
    assert result.code == 1
    assert "has no dataset" in result.err


def test_an_unknown_dataset_is_a_usage_error_that_names_the_known_ones(run, dataset):
    result = run("evaluate-model", "nano", "--data", dataset.parent, "--only", "cats")
    assert result.code == 2
    assert "discs" in result.err


def test_a_protocol_is_carried_out_on_a_dataset(run, nano, dataset, tmp_path):
    arguments = ("--model", nano, *QUICK, "--protocol", "offline", "--rounds", 2)
    told = run("evaluate", dataset, *arguments, "--out", tmp_path / "o", "--json").json
    (report,) = told["sequences"]
    assert (told["protocol"], told["clicks"], told["memory"]) == ("offline", 3, "sam2")
    assert [one["prompted_frames"] for one in report["rounds"]] == [1, 2]
    assert report["per_object"][0]["prompted_frames"] == 2
    assert json.loads((tmp_path / "o" / "report.json").read_text()) == told
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        "report.json",
        "scores.csv",
        "curve.png",
    }


def test_a_damaged_dataset_costs_no_score_of_the_others(run, nano, dataset, tmp_path):
    damaged = shutil.copytree(dataset, dataset.with_name("damaged"))
    (damaged / "meta.json").unlink()
    frame = damaged / "frames" / "00003.tif"
    frame.write_bytes(frame.read_bytes()[:200])
    how = ("-m", nano, *QUICK, "--clicks", 1, "--out", tmp_path / "o", "--json")
    result = run("evaluate", dataset.parent, *how)
    assert result.code == 1
    assert "damaged is not scored" in result.err
    assert [one["name"] for one in result.json["sequences"]] == ["discs"]
    assert list(result.json["not_scored"]) == ["damaged"]
    assert json.loads((tmp_path / "o" / "report.json").read_text()) == result.json


def test_scores_are_shown_even_if_their_report_cannot_be_written(
    run, nano, dataset, tmp_path, monkeypatch
):
    how = ("-m", nano, *QUICK, "--clicks", 1, "--out", tmp_path / "o", "--json")

    def full(path, text):
        raise ExportError("the disk is full")

    monkeypatch.setattr(files, "write_text", full)
    result = run("evaluate", dataset, *how)
    assert (result.code, result.json["sequences"][0]["name"]) == (1, "discs")


def test_a_report_is_written_even_if_nobody_reads_the_scores(
    run, nano, dataset, tmp_path, monkeypatch
):
    def closed(value):
        raise BrokenPipeError

    monkeypatch.setattr("sam2_plugins.cli.console.print_json", closed)
    run("evaluate", dataset, "-m", nano, *QUICK, "--clicks", 1, "--out", tmp_path / "o", "--json")
    assert (tmp_path / "o" / "report.json").is_file()


def test_a_file_is_no_folder_of_reports(run, dataset, tmp_path):
    result = run("evaluate", dataset, "--model", "nano", "--out", tmp_path / "scores.csv")
    assert result.code == 2
    assert "--out is a folder" in result.err
    assert not (tmp_path / "scores.csv").exists()


def test_people_are_told_prompted_frames_and_clicks(run, nano, dataset):
    result = run("evaluate", dataset, "--model", nano, *QUICK, "--prompt", "box", "--per-object")
    assert "clicks" in result.out
    assert "discs 2" in result.out
    assert "Peak memory" in result.err


def test_one_prompt_on_the_first_frame_is_what_evaluate_model_does(run, nano, dataset):
    once = ("--clicks", 1, "--prompt", "mask", *QUICK, "--json")
    one = run("evaluate", dataset, "-m", nano, *once).json
    other = run("evaluate-model", nano, "--data", dataset, *QUICK, "--json").json
    assert one["sequences"][0]["J"] == other["sequences"][0]["J"]


@pytest.mark.parametrize(("memory", "name"), [("samurai", "samurai"), ("distractor", "dam4sam")])
def test_a_model_is_scored_with_any_memory(run, nano, dataset, memory, name):
    told = run("evaluate", dataset, "--model", nano, *QUICK, "--memory", memory, "--json").json
    assert told["memory"] == name
    assert told["sequences"][0]["J"] > 0.5


def test_a_dataset_without_a_model_or_labels_is_a_usage_error(run, nano, dataset, moved):
    assert run("evaluate", dataset).code == 2
    assert run("evaluate", moved, dataset, "--model", nano).code == 2


def test_labels_with_other_ids_are_matched_by_overlap_and_people_are_told(run, discs, tmp_path):
    np.save(tmp_path / "truth.npy", discs[1])
    np.save(tmp_path / "other.npy", np.choose(discs[1], [0, 2, 1]))
    result = run("evaluate", tmp_path / "other.npy", tmp_path / "truth.npy", "--json")
    assert (result.json["J"], result.json["matched"]) == (1.0, {"1": 2, "2": 1})
    assert "other ids than the truth" in result.err
    assert "label 2 for 1, 1 for 2" in result.err


def test_a_whole_result_is_scored_with_what_is_left_to_correct(run, discs, dataset, tmp_path):
    found = discs[1].copy()
    found[3:][found[3:] == 2] = 0
    np.save(tmp_path / "found.npy", found)
    told = run("evaluate", tmp_path / "found.npy", dataset, "--ctc", "--json", "--per-object").json
    assert told["DET"] == pytest.approx(0.75)
    assert told["division_f1"] is None
    assert (told["corrections"], told["acts"]["add"]) == (1, 1)
    assert told["per_object"] == [{"act": "add", "frame": 3, "label": 2}]


def test_people_get_tables_of_a_whole_result_and_where_its_lineage_is_from(run, moved, dataset):
    result = run("evaluate", moved, dataset, "--ctc", "--per-object")
    assert result.code == 0
    for words in ("DET", "TRA", "division", "2 / 2", "corrections left", "relink"):
        assert words in result.out
    assert "discs has no lineage" in result.err


@pytest.mark.parametrize("option", [("--out", "o"), ("--rounds", "3"), ("--memory", "samurai")])
def test_an_option_of_a_model_is_not_passed_over_where_labels_are_scored(
    run, moved, dataset, option, tmp_path
):
    result = run("evaluate", moved, dataset, *option)
    assert result.code == 2
    assert f"{option[0]} belongs to --model" in result.err


def test_an_option_of_labels_is_not_passed_over_where_a_model_is_scored(run, dataset):
    result = run("evaluate", dataset, "--model", "nano", "--prompt-frame", "1")
    assert result.code == 2
    assert "--prompt-frame scores a result that is there" in result.err


def test_a_whole_result_has_no_choice_of_objects_and_no_model(run, moved, dataset):
    assert "--objects" in run("evaluate", moved, dataset, "--ctc", "--objects", "1").err
    result = run("evaluate", dataset, "--ctc", "--model", "nano")
    assert result.code == 2
    assert "--ctc" in result.err
