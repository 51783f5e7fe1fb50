from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

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


def test_plugins_where_a_file_is_are_refused_without_talk_of_links(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    result = run("fiftyone", "install", "--plugins-dir", tmp_path / "file")
    assert result.code == 1
    assert "a file is where a folder has to be" in result.err
    assert "--copy" not in result.err


def test_what_is_not_ours_is_not_removed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sam2_plugins").mkdir()
    result = run("fiftyone", "install", "--plugins-dir", tmp_path)
    assert result.code == 1
    assert "something else" in result.err
    assert (tmp_path / "sam2_plugins").is_dir()


def test_the_archive_is_small_and_fiftyone_finds_the_plugin_in_it(run: Run, tmp_path: Path) -> None:
    assert run("fiftyone", "archive", tmp_path / "plugin.zip").code == 0
    assert (tmp_path / "plugin.zip").stat().st_size < 1e5
    with ZipFile(tmp_path / "plugin.zip") as zipped:
        zipped.extractall(tmp_path / "plugins")
    folder = tmp_path / "plugins" / "sam2_plugins"
    manifest = (folder / "fiftyone.yml").read_text()
    assert "author: " in manifest
    assert "url: " in manifest
    assert "sam2-plugins[fiftyone]" in (folder / "requirements.txt").read_text()


def test_a_plugin_without_its_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sam2_plugins.fiftyone_plugin as plugin

    def missing(name: str) -> None:
        raise ModuleNotFoundError("No module named 'sam2_plugins.fiftyone_plugin.operators'")

    monkeypatch.setattr(plugin, "import_module", missing)
    with pytest.raises(ImportError, match=r'pip install "sam2-plugins\[fiftyone\]"'):
        plugin.register(None)
