from __future__ import annotations

import errno
import json
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sam2_plugins.core.errors import ExportError, PromptError
from sam2_plugins.core.masks import ObjectMask
from sam2_plugins.core.prompt_files import (
    facts_of,
    load_prompts,
    refuse_other_movie,
    save_prompts,
)
from sam2_plugins.core.prompts import Box, Points, Prompt

NUMBERS = st.floats(-1e6, 1e6)
POINTS = st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from([0, 1])), min_size=1).map(
    lambda rows: Points(tuple((x, y) for x, y, _ in rows), tuple(label for *_, label in rows))
)
BOXES = st.tuples(NUMBERS, NUMBERS, st.floats(1, 99), st.floats(1, 99)).map(
    lambda b: Box(b[0], b[1], b[0] + b[2], b[1] + b[3])
)
MASKS = arrays(bool, (5, 7)).map(ObjectMask.from_array)
PROMPTS = st.tuples(
    st.integers(0, 10**6),
    st.integers() | st.text(st.characters(codec="utf-8")),
    st.none() | POINTS,
    st.none() | BOXES,
    st.none() | MASKS,
).filter(lambda values: values[2:] != (None, None, None))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PROMPTS.map(lambda values: Prompt(*values)), max_size=4))
def test_prompts_come_back_as_they_were(tmp_path, prompts):
    path = tmp_path / "prompts.json"
    source = {"name": "Zelle µ.mp4", "frames": 20}
    save_prompts(path, prompts, source)
    loaded = load_prompts(path)
    assert loaded.prompts == tuple(prompts)
    assert [type(p.obj) for p in loaded.prompts] == [type(p.obj) for p in prompts]
    assert loaded.source == source


def test_a_name_that_is_no_unicode_is_kept(tmp_path):
    prompt = Prompt.of(0, "cell\udcff", points=(1, 2))
    save_prompts(tmp_path / "prompts.json", [prompt])
    assert load_prompts(tmp_path / "prompts.json").prompts == (prompt,)


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "prompts.json"
    save_prompts(path, [Prompt.of(0, 1, points=(1, 2))])
    before = path.read_bytes()

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(ExportError, match="No space left"):
        save_prompts(path, [])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match=r"file/prompts\.json cannot be written"):
        save_prompts(tmp_path / "file" / "prompts.json", [])


GOOD = {
    "format": "sam2_plugins prompts",
    "version": 1,
    "prompts": [{"frame": 0, "obj": 1, "points": [[1, 2]], "labels": [1]}],
}


def entry(**changes):
    values = GOOD["prompts"][0] | changes
    return {"prompts": [{key: value for key, value in values.items() if value is not ...}]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "COCO"}, '"format"'),
        ({"version": 2}, '"version" is 2'),
        ({"source": 3}, '"source"'),
        ({"prompts": {}}, '"prompts"'),
        ({"prompts": [3]}, r"prompts\[0\] is not an object"),
        (entry(frame=...), r'prompts\[0\] has no "frame"'),
        (entry(obj=...), r'prompts\[0\] has no "obj"'),
        (entry(labels=...), '"points" without "labels"'),
        (entry(point=3), 'unknown key "point"'),
        (entry(labels=[5]), r"prompts\[0\]: Object 1, frame 0: Point labels"),
        (entry(frame=0.5), r"prompts\[0\]: .*whole number"),
        (entry(box=[1, 2, 1, 2]), r"prompts\[0\]: .*empty"),
        (entry(mask=[1, 2]), r'prompts\[0\], "mask": This is no COCO'),
        (entry(mask={"size": [99_999, 99_999], "counts": [99_999**2]}), "too large"),
        (entry(mask={"size": [4, 4], "counts": [2**63 - 1, 2**63 - 1, 18]}), "damaged"),
        (entry(points=[[True, False]]), r'prompts\[0\], "points": .* is not a list of pairs'),
        (entry(points=[1, 2]), r'prompts\[0\], "points"'),
        (entry(labels=[True]), r'prompts\[0\], "labels"'),
        (entry(box=["1", "2", "3", "4"]), r'prompts\[0\], "box"'),
        (entry(box=[1, 2, 3, float("nan")]), "not finite"),
        ({"version": True}, '"version" is True'),
        ({"lives": [{"obj": 1, "first": 5, "last": 2}]}, r"lives\[0\]"),
        ({"live": []}, 'the unknown key "live"'),
        ({"settled": "no"}, "\"settled\" is 'no'"),
        (entry(mask={"size": [4, 4], "counts": "1"}), r'prompts\[0\], "mask": .* damaged'),
    ],
)
def test_a_damaged_entry_is_named_by_its_key(tmp_path, change, message):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(GOOD))
    assert load_prompts(path).prompts == (Prompt.of(0, 1, points=(1, 2)),)
    path.write_text(json.dumps(GOOD | change))
    with pytest.raises(PromptError, match=rf"prompts\.json: .*{message}"):
        load_prompts(path)


def test_a_truncated_file_is_named_with_the_line(tmp_path):
    path = tmp_path / "prompts.json"
    save_prompts(path, [Prompt.of(0, 1, mask=np.eye(4)), Prompt.of(1, 1, mask=np.eye(4))])
    path.write_text(path.read_text()[:-30])
    with pytest.raises(PromptError, match=r"prompts.json, line 7, column \d+"):
        load_prompts(path)


def test_a_file_without_prompts_says_nothing_of_those_that_are_added_to_it(tmp_path):
    path = tmp_path / "prompts.json"
    save_prompts(path, [])
    assert "settled" not in path.read_text()


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", None])
def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path, content):
    path = tmp_path / "prompts.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PromptError, match=r"prompts\.json"):
        load_prompts(path)


@dataclass
class Movie:
    name: str = "discs.tif"
    length: int | None = 9
    height: int = 4
    width: int = 5


@pytest.mark.parametrize(
    ("movie", "differs"),
    [
        (Movie(length=8), "frames 9 and not 8"),
        (Movie(height=5), "height 4 and not 5"),
        (Movie(width=6), "width 5 and not 6"),
        (Movie("yeast.tif"), r"the name discs\.tif"),
    ],
)
def test_prompts_of_another_movie_are_refused_by_what_differs(movie, differs):
    with pytest.raises(PromptError, match=differs):
        refuse_other_movie(facts_of(Movie()), movie)


def taken(source: dict[str, object], movie: Movie) -> bool:
    try:
        refuse_other_movie(source, movie)
    except PromptError:
        return False
    return True


@pytest.mark.parametrize(
    "movie",
    [
        Movie(),
        Movie("DISCS.mp4"),  # the same, converted
        Movie("discs"),  # a layer, or a folder
        Movie("/data/discs.tif"),
        Movie("https://host/path/discs.tif?token=1"),
        Movie("ndarray (9, 4, 5)"),  # nobody named these
        Movie("9 images"),
        Movie("-"),
        Movie(length=None),  # a stream
    ],
)
def test_prompts_of_the_same_movie_are_taken(movie):
    assert taken(facts_of(Movie()), movie)
    assert taken(facts_of(movie), Movie())


def test_prompts_that_tell_nothing_of_their_movie_are_taken():
    assert taken({}, Movie())
    assert taken({"frames": None, "height": "4", "name": 7}, Movie("7"))


def test_a_key_that_stands_twice_is_named(tmp_path):
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(GOOD).replace('"frame": 0', '"frame": 0, "frame": 3'))
    with pytest.raises(PromptError, match='the key "frame" stands twice'):
        load_prompts(path)
