"""Put the plugin where FiftyOne looks for plugins, and take it away again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from sam2_plugins.core.errors import Sam2PluginsError
from sam2_plugins.core.files import replacing, require_free, require_writable

PLUGIN = "@sam2-plugins/sam2"
MANIFEST = "fiftyone.yml"
_PACKAGE = Path(__file__).parent
_FOLDER = "sam2_plugins"
_COPIED = (MANIFEST, "__init__.py", "README.md", "requirements.txt")
"""All that FiftyOne itself reads; the rest is imported from the installed package."""

_ZOO = ("zoo/manifest.json", "zoo/__init__.py")
"""What `foz.register_zoo_model_source` takes from an archive."""


class InstallError(Sam2PluginsError):
    """The plugins folder cannot be written, or something else is in the way."""


def plugins_folder() -> Path:
    """Return the folder that FiftyOne is configured to look in.

    Raises
    ------
    InstallError
        If FiftyOne is not installed.
    """
    try:
        import fiftyone as fo
    except ImportError as error:
        raise InstallError(
            f'FiftyOne cannot be imported ({error}): pip install "sam2-plugins[fiftyone]"'
        ) from error
    return Path(fo.config.plugins_dir)


def is_seen() -> bool:
    """Whether FiftyOne finds the plugin, and it is enabled."""
    import fiftyone.plugins as fop

    return any(plugin.name == PLUGIN for plugin in fop.list_plugins())


def install(folder: Path | None = None, *, copy: bool = False) -> Path:
    """Link the plugin into a folder of plugins, or copy it; an older one of ours is replaced.

    Raises
    ------
    InstallError
        If something that is not ours is in the way; ExportError, if the folder cannot be written.
    """
    target = (folder or plugins_folder()) / _FOLDER
    require_writable(target.parent)
    _remove(target)
    try:
        if copy:
            target.mkdir()
            for name in _COPIED:
                shutil.copy(_PACKAGE / name, target / name)
        else:
            os.symlink(_PACKAGE, target, target_is_directory=True)
    except OSError as error:
        hint = "" if copy else " Where links are not allowed, add --copy."
        raise InstallError(
            f"{target} cannot be written: {error.strerror or error}.{hint}"
        ) from error
    return target


def archive(path: Path, *, overwrite: bool = False) -> Path:
    """Write the plugin alone as an archive, as `fiftyone plugins download` takes it.

    Raises
    ------
    ExportError
        If it is there already, or cannot be written.
    """
    require_free([path], overwrite)
    with replacing(path) as fresh, ZipFile(fresh, "w", ZIP_DEFLATED) as zipped:
        for name in (*_COPIED, *_ZOO):
            zipped.write(_PACKAGE / name, f"{_FOLDER}/{name}")
    return path


def uninstall(folder: Path | None = None) -> Path | None:
    """Take the plugin away; return where it was, None if it was not there."""
    target = (folder or plugins_folder()) / _FOLDER
    return target if _remove(target) else None


def _remove(target: Path) -> bool:
    if not (target.is_symlink() or target.exists()):
        return False
    manifest = target / MANIFEST
    is_dead_link = target.is_symlink() and not target.exists()
    if not is_dead_link and not (manifest.is_file() and PLUGIN in manifest.read_text("utf-8")):
        raise InstallError(f"{target} is something else than this plugin. Move it away.")
    try:
        if target.is_symlink():
            target.unlink()
        else:
            shutil.rmtree(target)
    except OSError as error:
        raise InstallError(f"{target} cannot be removed: {error.strerror or error}.") from error
    return True
