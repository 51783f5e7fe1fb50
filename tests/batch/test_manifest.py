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
        ("list.jsonl", '{"source": " ", "prompts": "all"}', "source is a path"),
        ("list.jsonl", '{"source": "a", "source": "b", "prompts": "all"}', "stands twice"),
        ("list.jsonl", '{"source": "a", "prompts": %s, "stop": "x"}' % CLICK, "stop"),  # noqa: UP031
        ("list.jsonl", '{"source": "a", "prompts": %s, "colour": 1}' % CLICK, "colour"),  # noqa: UP031
    ],
)
def test_a_list_that_is_none_says_why(tmp_path: Path, name: str, text: str, named: str) -> None:
    with pytest.raises(ManifestError, match=named):
        read_manifest(written(tmp_path, text, name))


@pytest.mark.parametrize(
    ("column", "value", "named"),
    [
        ("channels", '"1,x"', "channels is a list of whole numbers, not 1,x"),
        ("start", "1.5", "start is the number of a frame"),
        ("fps", "fast", "fps is a number above 0"),
        ("fps", "nan", "fps is a number above 0"),
        ("limits", '"5"', "limits is two numbers"),
        ("start", "1,2,3", "more cells"),
    ],
)
def test_a_bad_cell_is_named_with_what_is_right(
    tmp_path: Path, column: str, value: str, named: str
) -> None:
    path = written(tmp_path, f"source,prompts,{column}\na.tif,{cell(CLICK)},{value}\n")
    with pytest.raises(ManifestError, match=f"line 2: .*{named}"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("prompts", "named"), [("[{", "line 2: prompts are no JSON"), ("[" * 99_999, "too deep")]
)
def test_damaged_prompts_in_a_cell_are_named(tmp_path: Path, prompts: str, named: str) -> None:
    with pytest.raises(ManifestError, match=named):
        read_manifest(written(tmp_path, f"source,prompts\na.tif,{cell(prompts)}\n"))


def test_a_cell_may_be_as_long_as_a_mask_is(tmp_path: Path) -> None:
    many = json.dumps(json.loads(CLICK) * 5_000)
    (job,) = read_manifest(written(tmp_path, f"source,prompts\na.tif,{cell(many)}\n"))
    assert len(job.prompts) == 5_000


def test_a_table_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="line 2 is no CSV"):
        read_manifest(written(tmp_path, 'source,prompts\n"a.tif,b\n'))


@pytest.mark.parametrize("source", ["!!!", "...", "___"])
def test_a_movie_whose_name_is_no_folder_gets_one(tmp_path: Path, source: str) -> None:
    (job,) = read_manifest(written(tmp_path, f"source,prompts\n{source},{cell(CLICK)}\n"))
    assert job.name.startswith("video-")


def test_names_are_good_on_every_system(tmp_path: Path) -> None:
    rows = "".join(f"{name}.tif,{cell(CLICK)}\n" for name in ("CON", "x" * 300))
    first, second = read_manifest(written(tmp_path, f"source,prompts\n{rows}"))
    assert first.name == "CON_"
    assert len(second.name) < 200
    rows = f"a/Movie.tif,{cell(CLICK)},\nb/movie.tif,{cell(CLICK)},\n"
    jobs = read_manifest(written(tmp_path, f"source,prompts,name\n{rows}"))
    assert [job.name for job in jobs] == ["a_Movie", "b_movie"]


def test_what_a_prompts_file_says_of_its_movie_and_objects_comes_along(tmp_path: Path) -> None:
    prompts = [Prompt.of(3, "cell", box=(1, 2, 8, 9))]
    save_prompts(tmp_path / "p.json", prompts, {"name": "a.tif"}, {"cell": (3, 9)})
    (job,) = read_manifest(written(tmp_path, "source,prompts\na.tif,p.json\n"))
    assert job.made_on == ({"name": "a.tif"},)
    assert job.lives == {"cell": (3, 9)}


def test_two_videos_of_one_name_are_refused(tmp_path: Path) -> None:
    rows = f"a.tif,{cell(CLICK)},same\nb.tif,{cell(CLICK)},same\n"
    with pytest.raises(ManifestError, match="same"):
        read_manifest(written(tmp_path, f"source,prompts,name\n{rows}"))


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"list\.csv"):
        read_manifest(tmp_path / "list.csv")


def test_all_in_place_of_prompts_means_every_object(tmp_path: Path) -> None:
    (job,) = read_manifest(written(tmp_path, "source,prompts\na.tif,all\n"))
    assert job.everything is not None
    assert job.prompts == ()


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_list_of_another_countrys_spreadsheet_is_read(tmp_path: Path, separator: str) -> None:
    rows = [["Source", "Prompts", "fps", ""], ["a.tif", "all", "2.5", ""], ["b.tif", "all"]]
    text = "\r\n".join(map(separator.join, rows))
    first, second = read_manifest(written(tmp_path, f"\ufeff{text}\r\n"))
    assert (first.name, first.reading["fps"], second.name) == ("a", 2.5, "b")


def test_a_list_in_another_encoding_says_how_to_save_it(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes("source,prompts\nfön.tif,all\n".encode("cp1252"))
    with pytest.raises(ManifestError, match="CSV UTF-8"):
        read_manifest(path)
