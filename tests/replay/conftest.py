"""The recordings that are played, and folders that PostgreSQL's own user may enter.

Helpers of these tests are plain modules in ``support``; pytest's importlib mode needs the path.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))

from fastbook_server.replay.recording import Action, read

CACHE = Path(__file__).parents[2] / ".cache" / "recordings"
PACKAGE = "ob-analytics==0.1.0"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A temporary folder that the account of PostgreSQL may enter (pytest's own are closed)."""
    folder = Path(tempfile.mkdtemp(prefix="fastbook-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def capture() -> Path:
    """The recording of Bitstamp: ``FASTBOOK_BITSTAMP`` names it, or it is downloaded once."""
    named = os.environ.get("FASTBOOK_BITSTAMP")
    if named:
        return Path(named)
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:  # workers of one run share the download
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (found := _wheel()):
            said = _download()
            if not (found := _wheel()):
                pytest.skip(f"{PACKAGE} cannot be downloaded: {said}")
    return found


def _wheel() -> Path | None:
    return next(CACHE.glob("ob_analytics-0.1.0-*.whl"), None)


def _download() -> str:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE]
    try:
        done = subprocess.run(
            [*command, "--dest", str(CACHE)], capture_output=True, text=True, timeout=60
        )
    except subprocess.TimeoutExpired:
        return "no answer in 60 s"
    return done.stderr.strip()[-300:]


@pytest.fixture(scope="session")
def captured(capture: Path) -> list[Action]:
    """The actions of that recording."""
    return read(capture)
