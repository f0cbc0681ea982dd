"""Compiled, the order path says what its source says, event by event, row by row."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import all_ways
import pytest

import fastbook_server
from fastbook_server import from_source
from fastbook_server.matching import exchange

HEADERS = sorted(Path(fastbook_server.__path__[0]).rglob("*.pxd"))
TYPED = [path for path in HEADERS if not path.with_suffix(".pyx").exists()]
COMMANDS = 4_000


def run(*command: str) -> list[str]:
    """Return the lines that a Python program prints when it runs from the sources."""
    env = {**os.environ, from_source.VARIABLE: "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, *command], env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("seed", range(3))
def test_both_ways_cause_the_same_events_rows_and_frames(seed):
    if not from_source.is_wanted():
        assert exchange.__file__.endswith(tuple(EXTENSION_SUFFIXES))
    compiled = list(all_ways.said_of(seed, COMMANDS))
    assert len(compiled) > COMMANDS
    for one, other in zip(compiled, run(all_ways.__file__, str(seed), str(COMMANDS)), strict=True):
        assert one == other


def test_the_source_of_every_typed_module_runs():
    root = Path(fastbook_server.__path__[0]).parent
    names = [".".join(path.relative_to(root).with_suffix("").parts) for path in TYPED]
    assert names
    said = run("-c", f"import importlib\nfor name in {names}:"
               " print(importlib.import_module(name).__file__)")  # fmt: skip
    assert [Path(file) for file in said] == [path.with_suffix(".py") for path in TYPED]


def test_every_typed_module_says_what_it_is_compiled_from():
    for path in TYPED:
        source = path.with_suffix(".py")
        assert source.exists(), f"{path}: a header of no module"
        if not from_source.is_wanted():
            found = [source.with_suffix(end) for end in EXTENSION_SUFFIXES]
            built = [file for file in found if file.exists()]
            assert built, f"{source} is not compiled: make extensions"
            assert max(file.stat().st_mtime for file in built) >= source.stat().st_mtime, (
                f"{source} has changed since it was compiled: make extensions"
            )
