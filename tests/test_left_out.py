"""The line at the end of a run: what was left out, counted by reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from left_out import one_line

SUPPORT = Path(__file__).parent / "support"
CONFTEST = f"""
import sys
sys.path.insert(0, {str(SUPPORT)!r})
from left_out import LeftOut
def pytest_configure(config):
    config.pluginmanager.register(LeftOut(config))
"""
INI = """
[pytest]
testpaths = inner
markers = slow: takes long
addopts = --strict-markers -p no:cacheprovider
"""
TESTS = """
import pytest

def test_quick(): pass

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.slow
@pytest.mark.parametrize("n", range(3))
def test_slower(n): pass

@pytest.mark.parametrize("n", range(2))
def test_of_a_browser(n): pytest.skip("no browser")
"""


def test_reasons_are_counted_most_first_then_by_name():
    skips = ["Skipped: no browser", "b", "Skipped: no browser", "a"]
    assert one_line(skips, 0) == "left out: 2 tests (no browser), 1 test (a), 1 test (b)"


def test_slow_tests_come_first_with_the_command_that_runs_them():
    assert one_line([], 1) == "left out: 1 slow test (make test-slow)"
    assert one_line(["a", "a"], 3) == "left out: 3 slow tests (make test-slow), 2 tests (a)"


def test_a_reason_of_several_lines_is_one_line():
    assert one_line(["Skipped: pip said:\n  no  route\n"], 0) == (
        "left out: 1 test (pip said: no route)"
    )


def test_nothing_left_out_says_nothing():
    assert one_line([], 0) == ""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "pytest.ini").write_text(INI, encoding="utf-8")
    (inner / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (inner / "test_some.py").write_text(TESTS, encoding="utf-8")
    return tmp_path


SLOW = "4 slow tests (make test-slow)"
SKIPS = "2 tests (no browser)"


@pytest.mark.parametrize(
    ("arguments", "passed", "line"),
    [
        ((), 1, f"left out: {SLOW}, {SKIPS}"),
        (("-p", "xdist", "-n", "2"), 1, f"left out: {SLOW}, {SKIPS}"),
        (("inner",), 5, f"left out: {SKIPS}"),
        (("-k", "slower"), 3, None),
        (("-m", "slow"), 4, None),
    ],
)
def test_a_run_says_what_it_left_out(suite, arguments, passed, line):
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # they would take most of the time
    run = subprocess.run(command, cwd=suite, env=env, capture_output=True, text=True, check=False)
    said = [text for text in run.stdout.splitlines() if text.startswith("left out")]
    assert (run.returncode, said) == (0, [line] if line else []), run.stdout + run.stderr
    assert f"{passed} passed" in run.stdout
