from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

pytest.importorskip("fiftyone", reason="`make test-fiftyone` installs it")


@pytest.mark.parametrize("how", [[], ["--copy"]])
def test_the_plugin_is_put_there_and_taken_away(run: Run, tmp_path: Path, how: list[str]) -> None:
    where = ["--plugins-dir", tmp_path]
    assert run("fiftyone", "install", *where, *how).code == 0
    target = tmp_path / "sam2_plugins"
    assert target.is_symlink() == (not how)
    assert "@sam2-plugins/sam2" in (target / "fiftyone.yml").read_text()
    assert run("fiftyone", "install", *where).code == 0, "again: the older one is replaced"
    assert run("fiftyone", "uninstall", *where).code == 0
    assert not target.exists()
    assert "was not there" in run("fiftyone", "uninstall", *where).out


def test_what_is_not_ours_is_not_removed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sam2_plugins").mkdir()
    result = run("fiftyone", "install", "--plugins-dir", tmp_path)
    assert result.code == 1
    assert "something else" in result.err
    assert (tmp_path / "sam2_plugins").is_dir()
