from __future__ import annotations

import subprocess
import sys

import pytest

from sam2_plugins import __version__
from sam2_plugins.__main__ import main


def test_the_version_is_told(run):
    assert run("--version").out.strip() == f"sam2-plugins {__version__}"


COMMANDS = (
    "track", "demo", "models", "download", "info", "evaluate", "evaluate-model", "bench", "train",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run, command):
    result = run(command, "--help")
    assert result.code == 0
    assert "Usage" in result.out


def test_an_unknown_command_is_a_usage_error(run):
    assert run("segment").code == 2


def test_help_loads_neither_torch_nor_numpy():
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from sam2_plugins.cli import app\n"
        "result = CliRunner().invoke(app, ['track', '--help'])\n"
        "assert result.exit_code == 0, result.output\n"
        "print(sorted({'torch', 'numpy', 'av'} & set(sys.modules)))\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert told.stdout.strip() == "[]", told.stderr


def test_the_module_runs_as_a_command():
    command = [sys.executable, "-m", "sam2_plugins", "--version"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.stdout.strip() == f"sam2-plugins {__version__}"


def test_ctrl_c_while_the_command_line_is_imported_is_no_traceback(monkeypatch, capsys):
    def interrupted(name, *arguments):
        if name.startswith("sam2_plugins.cli"):
            raise KeyboardInterrupt
        return importing(name, *arguments)

    importing = __import__
    monkeypatch.setattr("builtins.__import__", interrupted)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "Stopped.\n"


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_no_file_takes_the_place_of_a_closed_stream(closed):
    run = "from sam2_plugins.__main__ import main\ntry:\n main()\nexcept SystemExit:\n pass"
    opened = f"{run}\nprint(open('/dev/zero').fileno())"
    command = f'{sys.executable} -c "{opened}" --version {closed}'
    told = subprocess.run(command, shell=True, stdout=subprocess.PIPE, text=True, check=True)
    assert int(told.stdout.split()[-1]) > 2
