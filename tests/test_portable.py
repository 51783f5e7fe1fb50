"""What cannot be run here, Windows and macOS, is shown by what this package does not use."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import sam2_plugins

PACKAGE = Path(sam2_plugins.__file__).parent
THE_ONE_PLACE = PACKAGE / "core/operating_system.py"
TREES = {
    path.relative_to(PACKAGE): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(PACKAGE.rglob("*.py"))
    if path != THE_ONE_PLACE
}

POSIX_MODULES = {
    *("crypt", "curses", "fcntl", "grp", "nis", "posix", "pty", "pwd", "readline", "resource"),
    *("spwd", "syslog", "termios", "tty"),
}
POSIX_OF_OS = {
    *("chown", "fchmod", "fchown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getgroups"),
    *("getloadavg", "getpgid", "getpgrp", "getpriority", "getsid", "getuid", "killpg", "lchown"),
    *("lockf", "mkfifo", "mknod", "nice", "O_DIRECTORY", "O_NOFOLLOW", "posix_fadvise"),
    *("posix_fallocate", "pread", "pwrite", "sched_getaffinity", "sched_setaffinity", "setgid"),
    *("setpgid", "setpriority", "setsid", "setuid", "statvfs", "sync", "sysconf", "uname", "wait"),
}
POSIX_OF_SIGNAL = {
    *("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGUSR1", "SIGUSR2", "alarm"),
    *("pause", "pthread_kill", "pthread_sigmask", "setitimer", "sigwait"),
}


def used(tree: ast.AST) -> set[str]:
    """Modules that a file imports, and attributes of `os` and `signal` that it names."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module or "", *(f"{node.module}.{a.name}" for a in node.names)}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names.add(f"{node.value.id}.{node.attr}")
    return names


def test_what_only_posix_has_is_used_in_one_place() -> None:
    posix = {
        *POSIX_MODULES,
        *(f"os.{name}" for name in POSIX_OF_OS),
        *(f"signal.{name}" for name in POSIX_OF_SIGNAL),
    }
    found = {str(path): used(tree) & posix for path, tree in TREES.items()}
    assert not {path: names for path, names in found.items() if names}


def test_processes_are_spawned_which_every_system_can() -> None:
    for tree in TREES.values():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            assert name not in ("multiprocessing.Process", "multiprocessing.Pool", "mp.Process")
            if name.endswith("get_context"):
                assert [ast.literal_eval(argument) for argument in call.args] == ["spawn"]


def test_class_variables_have_types_without_which_python_3_10_cannot_read_options() -> None:
    bare = [
        (path.name, node.lineno)
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.annotation, ast.Name)
        and node.annotation.id == "ClassVar"
    ]
    assert bare == []


def test_files_of_text_are_utf8_whatever_the_system_prefers() -> None:
    bare = [
        f"{path}:{call.lineno}"
        for path, tree in TREES.items()
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call))
        if ast.unparse(call.func).endswith((".read_text", ".write_text"))
        and not ast.unparse(call.func).startswith("files.")  # ours, which is UTF-8
        and not any("utf" in ast.unparse(part).lower() for part in (*call.args, *call.keywords))
        and not any(keyword.arg == "encoding" for keyword in call.keywords)
    ]
    assert not bare


AS_ON_WINDOWS = """
import os, pkgutil, signal, sys
from importlib import import_module
import av, filelock, numpy, PIL.Image, platformdirs, scipy.ndimage, skimage.measure, tifffile, torch
import typer.testing, rich.console
try:
    import distributed
except ImportError:
    pass
# What others import on Linux is here; ours follow, without what Windows lacks.
for name in {modules!r}:
    sys.modules[name] = None
for module, names in ((os, {of_os!r}), (signal, {of_signal!r})):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
import sam2_plugins
for module in pkgutil.walk_packages(sam2_plugins.__path__, "sam2_plugins."):
    if module.name.endswith("__main__"):
        continue
    try:
        import_module(module.name)
    except ModuleNotFoundError as error:
        if error.name in {modules!r} or error.name.startswith("sam2_plugins"):
            raise  # else it is of a host, or of an extra, that is not installed here
from sam2_plugins.core.operating_system import lower_priority, peak_megabytes, stop_signals
lower_priority()
print(peak_megabytes(), [one.name for one in stop_signals()])
"""
HIDDEN = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}
HIDDEN_OF_OS = {
    *("fork", "getuid", "geteuid", "killpg", "mkfifo", "nice", "sched_getaffinity", "setsid"),
    "uname",
}


def test_every_module_is_imported_where_there_is_no_posix() -> None:
    script = AS_ON_WINDOWS.format(
        modules=HIDDEN, of_os=HIDDEN_OF_OS, of_signal={"SIGHUP", "SIGKILL"}
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    assert told.stdout.strip() == "nan ['SIGINT', 'SIGTERM']"
