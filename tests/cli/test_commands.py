"""What every command does when something goes wrong that has nothing to do with it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from sam2_plugins.cli import app as commands
from sam2_plugins.cli.crash_log import write_crash_log


@pytest.fixture
def failing(run, monkeypatch, tmp_path):
    """Run `models`, with an error in its midst."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def failing(error: BaseException):
        def fail():
            raise error

        monkeypatch.setattr("sam2_plugins.core.checkpoints.list_models", fail)
        return run("models")

    return failing


def test_home_is_known_where_no_shell_expands_it(run, nano, movie, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    click = ("--click", "40,40", "--image-size", "128", "--format", "csv")
    assert run("track", movie, *click, "--out=~/a").code == 0
    assert run("track", movie, *click, "--out", "~/b").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (MemoryError(), "not enough memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "--image-size"),
        (OSError(errno.ENOSPC, "No space left on device", "/data/x.tif"), "/data/x.tif is full"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
        (ModuleNotFoundError("No module named 'httpx'", name="httpx"), "sam2-plugins[labelstudio]"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/x.tif"), "Permission denied"),
    ],
)
def test_what_happens_to_everyone_is_explained(failing, tmp_path, error, sentence):
    result = failing(error)
    assert result.code == 1
    assert sentence in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "state").exists(), "there is nothing to send"


def test_what_nobody_foresaw_is_a_sentence_and_a_file_to_send(failing, tmp_path):
    result = failing(ZeroDivisionError("of the model"))
    assert result.code == 1
    assert "ZeroDivisionError: of the model" in result.err
    assert "Traceback" not in result.err
    (log,) = (tmp_path / "state").rglob("*.txt")
    assert str(log) in result.err
    text = log.read_text(encoding="utf-8")
    assert "Traceback" in text
    assert "Python 3" in text


def test_a_key_on_the_command_line_is_not_in_the_file(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["sam2-plugins", "--api-key", "abc1", "--api-key=abc2", "x"])
    log = write_crash_log(ValueError("x"))
    assert "--api-key *** --api-key=*** x" in log.read_text(encoding="utf-8")


def test_an_error_before_any_command_runs_is_a_sentence_too(run, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def fail(*_, **__):
        raise RecursionError("of the parser")

    monkeypatch.setattr("sam2_plugins.cli.commands.Commands.make_context", fail)
    result = run("models")
    assert result.code == 1
    assert "RecursionError: of the parser" in result.err


@pytest.mark.parametrize(
    ("encoding", "arguments"),
    [("ascii", ("models",)), ("latin-1", ("track", "--help")), ("cp1252", ("models", "--json"))],
)
def test_a_terminal_of_any_encoding_will_do(encoding, arguments):
    told = subprocess.run(
        [sys.executable, "-m", "sam2_plugins", *arguments],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert told.returncode == 0, told.stderr
    assert b"Traceback" not in told.stderr


def test_a_path_that_is_no_unicode_is_named(run, tmp_path):
    told = subprocess.run(
        [sys.executable, "-m", "sam2_plugins", "info", b"nowhere\xff.tif"],
        capture_output=True,
        cwd=tmp_path,
    )
    assert told.returncode == 1
    assert b"There is no file or folder nowhere" in told.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_kill_ends_any_command_as_ctrl_c_does(number, tmp_path):
    pipe = tmp_path / "never"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(pipe)], stderr=subprocess.PIPE, text=True
    )
    _wait_for(Path(f"{pipe}.ready"))
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told.strip() == "Stopped."


def test_signals_that_are_ignored_stay_so(tmp_path):
    pipe = tmp_path / "never"
    os.mkfifo(pipe)
    script = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{WAITING}"
    process = subprocess.Popen([sys.executable, "-c", script, str(pipe)])
    _wait_for(Path(f"{pipe}.ready"))
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None, "nohup was meant"
    pipe.write_text("go on")
    assert process.wait(timeout=30) == 0


WAITING = """
import sys
from pathlib import Path
from sam2_plugins.cli import app
@app.command()
def wait(path: Path):
    Path(f"{path}.ready").touch()
    path.read_text()
app(["wait", sys.argv[1]])
"""


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_shells_complete_commands_models_and_formats():
    def completions(words: str) -> str:
        typed = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
        result = CliRunner().invoke(
            commands,
            prog_name="sam2-plugins",
            env={"_SAM2_PLUGINS_COMPLETE": "complete_bash", **typed},
        )
        assert result.stderr == ""
        return result.stdout

    assert "track" in completions("sam2-plugins tr")
    assert completions("sam2-plugins track --model sam2.1-t").split() == ["sam2.1-tiny"]
    assert completions("sam2-plugins track --format tiff,m").split() == ["tiff,mp4"]


def test_no_command_is_without_help():
    assert all(command.callback.__doc__ for command in commands.registered_commands)
