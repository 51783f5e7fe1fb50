"""Places that cannot be written are named, with what to do about it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sam2_plugins.batch.folder import alone_in
from sam2_plugins.core.errors import ExportError
from sam2_plugins.core.files import naming, require_free, require_writable
from sam2_plugins.core.masks.journal import MaskJournal, read_journal
from tests.core.permissions import read_only_folder

MEND = "Permission denied. Choose another place, or make its folder writable"


@pytest.mark.skipif(
    not hasattr(os, "seteuid"), reason="this system has no other users to try it as"
)
@pytest.mark.parametrize("inside", ["", "results"])
def test_a_folder_in_which_nothing_may_be_written_is_named_with_the_mend(inside: str) -> None:
    with read_only_folder({}) as folder:
        with pytest.raises(ExportError, match=MEND) as refused:
            require_writable(folder / inside)
        with pytest.raises(ExportError, match=MEND), alone_in(folder / inside, "lock"):
            pass
    assert str(folder / inside) in str(refused.value)


def test_a_file_where_a_folder_has_to_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "results"):
        with pytest.raises(ExportError, match="a file is where a folder has to be"):
            require_writable(folder)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.EROFS, "make its folder writable"),
        (errno.EPERM, "make its folder writable"),
        (errno.ENOSPC, "make room there"),
    ],
)
def test_the_mend_is_that_of_the_reason(number: int, mend: str) -> None:
    told = pytest.raises(ExportError, match=f"m.tif cannot be written: .*, or {mend}")
    with told, naming(Path("m.tif")):
        raise OSError(number, os.strerror(number), "m.tif")


@pytest.mark.skipif(
    not hasattr(os, "seteuid"), reason="this system has no other users to try it as"
)
@pytest.mark.parametrize("name", ["scores.csv", "new/scores.csv", ""])
def test_a_place_that_may_not_be_written_is_not_free(name: str) -> None:
    with read_only_folder({}) as folder, pytest.raises(ExportError, match=MEND):
        require_free([folder / name], overwrite=True)


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_place_below_a_file_is_not_free(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ExportError, match="a file is where a folder has to be"):
        require_free([tmp_path / "file" / "new" / "scores.csv"], overwrite)


def test_a_free_place_stays_as_it_is(tmp_path: Path) -> None:
    require_free([tmp_path / "new" / "scores.csv", tmp_path])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_can_be_written_is_made_and_left_empty(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_journal_below_a_file_holds_nothing_and_is_not_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    path = tmp_path / "file" / "masks.jsonl"
    assert list(read_journal(path).frames) == []
    with pytest.raises(ExportError, match="a file is where a folder has to be"):
        MaskJournal(path)
