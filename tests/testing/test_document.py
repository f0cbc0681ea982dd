"""docs/testing.md shows the examples word for word and names only methods that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fastbook_server.testing.clock import Clock
from fastbook_server.testing.counterparty import Counterparty
from fastbook_server.testing.faults import Faults
from fastbook_server.testing.server import FastbookServer

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs/testing.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["market_maker.py", "test_market_maker.py"])
def test_the_examples_are_shown_as_they_are(name):
    text = (ROOT / "examples" / name).read_text(encoding="utf-8")
    assert f"```python\n{text}```\n" in DOCUMENT


def test_every_fault_is_explained_and_every_explained_fault_is_there():
    section = DOCUMENT.partition("## What can go wrong")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    explained = {name for row in rows for name in re.findall(r"`(\w+)\(", row.split("|")[1])}
    internal = {"find", "take", "reset", "clear", "active"}
    methods = {name for name in vars(Faults) if not name.startswith("_")}
    assert explained == methods - internal


@pytest.mark.parametrize(
    ("title", "kind", "prefix"),
    [
        ("Time", Clock, "clock."),
        ("The others", Counterparty, ""),
        *[
            (title, FastbookServer, "")
            for title in ("The server in your hands", "What to assert on")
        ],
    ],
)
def test_what_the_tables_name_is_there(title, kind, prefix):
    section = DOCUMENT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    named = {n for row in rows for n in re.findall(rf"`{prefix}(\w+)", row.split("|")[1])}
    assert named
    # What an instance gets in its constructor is not in its class.
    assert {n for n in named if not hasattr(kind, n)} <= {"log"}


def test_the_first_example_passes(pytester):
    code = DOCUMENT.partition("```python\n")[2].partition("```")[0]
    pytester.makepyfile(code)
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
    )
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=1)
