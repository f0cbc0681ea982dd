"""A server whose database another one takes over: it ends, and says by its exit code why."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from databases import embedded_dsn, make_database

__all__ = ["embedded_dsn", "make_database"]  # fixtures

PATIENCE_S = 90


@pytest.fixture
def serve() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Start a server on a database; return its process once it is ready."""
    running: list[subprocess.Popen[str]] = []

    def start(dsn: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "fastbook_cli", "serve", "--port", "0", "--database-url", dsn],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready http://")
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


async def test_it_ends_with_3_which_a_service_manager_does_not_start_again(
    make_database, serve
) -> None:
    dsn = await make_database("postgres")
    older = serve(dsn)
    newer = serve(dsn)
    _, said = older.communicate(timeout=PATIENCE_S)
    assert older.returncode == 3
    assert "stopping: another server has taken over this database" in said
    assert newer.poll() is None
