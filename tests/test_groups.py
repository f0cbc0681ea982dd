"""Tests that share something costly run in one process, as their marks ask for.

A pytest that pytest-xdist does not know ignores the marks without a word: each process then builds
the wheels, and demos run side by side.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import os
import time
from pathlib import Path

import pytest


@pytest.mark.parametrize("n", range(8))
@pytest.mark.xdist_group("costly")
def test_one(n):
    Path(f"{n}-{os.getpid()}").touch()
    time.sleep(0.05)  # another process would take its turn
"""


def test_a_group_stays_in_one_process(tmp_path: Path) -> None:
    (tmp_path / "test_many.py").write_text(TESTS, encoding="utf-8")
    options = ("-q", "-p", "xdist", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    ran = [path.name.split("-") for path in tmp_path.glob("*-*")]
    assert len(ran) == 8
    assert len({process for _, process in ran}) == 1, "see the extra `test` in pyproject.toml"
