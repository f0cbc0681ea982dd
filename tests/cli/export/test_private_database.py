"""The private database can be read whatever a crash has left beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastbook_cli.export import source

LEFT = [
    b"",
    b"\xff\xfe",
    b"\x84" * 9_999,
    b"12\n/x\n1\n5432\n/\0\xff\n\n",
    b"1\n\n\n\n/nowhere\n",
]


class Started:
    """A private PostgreSQL that starts at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def start(self) -> str:
        """Return a DSN."""
        return "started"

    async def stop(self) -> None:
        """Stop it."""


@pytest.mark.parametrize("content", LEFT)
async def test_whatever_is_in_the_pid_file_the_data_can_be_read(monkeypatch, tmp_path, content):
    monkeypatch.setattr(source, "EmbeddedPostgres", Started)
    (tmp_path / "pgdata").mkdir()
    (tmp_path / "pgdata" / "postmaster.pid").write_bytes(content)
    async with source.private_database(tmp_path) as dsn:
        assert dsn == "started"
