"""What is wrong with an installation is one line before anything else, and names the cure."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastbook_cli import main as command_line

THEIRS = "from fastai.vision.all import *\n"


def run(*arguments: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run the command with a folder in front of all others from which Python imports."""
    return subprocess.run(
        [sys.executable, "-m", "fastbook_cli", *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (path, *sys.path)))},
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_is_well_here(tmp_path):
    done = run("licences", path=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_engine_that_another_project_overwrote_is_one_line(tmp_path):
    (tmp_path / "fastbook").mkdir()
    (tmp_path / "fastbook/__init__.py").write_text(THEIRS, encoding="utf-8")
    done = run("serve", "--in-memory", path=tmp_path)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip uninstall fastbook, then pip install --force-reinstall" in line


def test_the_other_project_beside_ours_is_a_warning(tmp_path):
    (tmp_path / "fastbook-0.0.29.dist-info").mkdir()
    metadata = tmp_path / "fastbook-0.0.29.dist-info/METADATA"
    metadata.write_text("Metadata-Version: 2.1\nName: fastbook\nVersion: 0.0.29\n")
    done = run("licences", path=tmp_path)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, "pip uninstall fastbook" in line) == (0, True)


def test_windows_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(sys, "argv", ["fastbook", "serve"])
    with pytest.raises(SystemExit) as exit_:
        command_line.main()
    (line,) = capsys.readouterr().err.splitlines()
    assert (exit_.value.code, "WSL" in line, "fastbook-client" in line) == (1, True, True)


WINDOWS = """
import asyncio, click, importlib.metadata, msgspec, sys  # what others make of the platform
for name in ("fcntl", "pwd", "resource", "grp", "termios", "uvloop"):
    sys.modules[name] = None
sys.platform = "win32"
from fastbook_cli.main import main
main()
"""


@pytest.mark.parametrize(("argument", "code"), [("--version", 0), ("serve", 1), ("demo", 1)])
def test_windows_needs_none_of_the_modules_that_it_lacks(argument, code):
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS, argument], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
