from __future__ import annotations

import json
from pathlib import Path

import pytest

from sam2_plugins.batch.manifest import ManifestError, read_manifest
from sam2_plugins.core.prompt_files import save_prompts
from sam2_plugins.core.prompts import Prompt

CLICK = '[{"frame": 0, "obj": 1, "points": [[4, 5]], "labels": [1]}]'


def written(folder: Path, text: str, name: str = "list.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def test_a_table_lists_movies_with_prompt_files_beside_it(tmp_path: Path) -> None:
    save_prompts(tmp_path / "p.json", [Prompt.of(3, "cell", box=(1, 2, 8, 9))])
    path = written(
        tmp_path,
        'source,prompts,direction,start,limits,channels\nmovies/a.tif,p.json,both,2,"0,900",1\n',
    )
    (job,) = read_manifest(path)
    assert job.name == "a"
    assert job.source == str(tmp_path / "movies/a.tif")
    assert job.prompts == (Prompt.of(3, "cell", box=(1, 2, 8, 9)),)
    assert (job.direction, job.start, job.stop) == ("both", 2, None)
    assert job.reading == {"limits": [0, 900], "channels": [1]}


def test_prompts_may_stand_in_the_list_itself(tmp_path: Path) -> None:
    in_csv = written(tmp_path, f"source,prompts\na.tif,{cell(CLICK)}\n")
    row = json.dumps({"source": "a.tif", "prompts": json.loads(CLICK), "name": None})
    in_lines = written(tmp_path, row + "\n\n", "list.jsonl")
    assert read_manifest(in_csv) == read_manifest(in_lines)
    assert read_manifest(in_csv)[0].prompts == (Prompt.of(0, 1, points=[(4, 5)]),)


def test_movies_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    rows = "".join(f"{where}/movie.tif,{cell(CLICK)}\n" for where in ("01", "02"))
    path = written(tmp_path, f"source,prompts\n{rows}x/other.tif,{cell(CLICK)}\n")
    assert [job.name for job in read_manifest(path)] == ["01_movie", "02_movie", "other"]


def test_a_url_stays_what_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, f"source,prompts\nhttps://host/v/a.mp4?x=1,{cell(CLICK)}\n")
    (job,) = read_manifest(path)
    assert (job.source, job.name) == ("https://host/v/a.mp4?x=1", "a")


def test_every_bad_line_is_named_at_once(tmp_path: Path) -> None:
    good = cell(CLICK)
    path = written(
        tmp_path,
        f"source,prompts,direction,start\na.tif,{good},,\n,{good},,\nb.tif,none.json,,\n"
        f"c.tif,{good},sideways,\nd.tif,[],,\n",
    )
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    told = str(caught.value)
    for said in ("line 3: it has no source", "line 4", "none.json", "sideways", "line 6"):
        assert said in told
    assert "line 2" not in told


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("list.csv", "source,promts\n", "promts"),
        ("list.csv", "source,prompts\n", "no video"),
        ("list.jsonl", "{", "line 1"),
        ("list.jsonl", "[]", "not an object"),
        ("list.jsonl", '{"source": "a", "prompts": %s, "stop": "x"}' % CLICK, "stop"),  # noqa: UP031
        ("list.jsonl", '{"source": "a", "prompts": %s, "colour": 1}' % CLICK, "colour"),  # noqa: UP031
    ],
)
def test_a_list_that_is_none_says_why(tmp_path: Path, name: str, text: str, named: str) -> None:
    with pytest.raises(ManifestError, match=named):
        read_manifest(written(tmp_path, text, name))


def test_two_videos_of_one_name_are_refused(tmp_path: Path) -> None:
    rows = f"a.tif,{cell(CLICK)},same\nb.tif,{cell(CLICK)},same\n"
    with pytest.raises(ManifestError, match="same"):
        read_manifest(written(tmp_path, f"source,prompts,name\n{rows}"))


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"list\.csv"):
        read_manifest(tmp_path / "list.csv")
