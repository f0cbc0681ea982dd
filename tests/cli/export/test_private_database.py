"""The private database can be read whatever a crash has left beside it."""

from __future__ import annotations

import os

import pytest

from fastbook_cli.export.source import private_database, read

LEFT = [
    b"",
    b"\xff\xfe",
    b"\x84" * 9_999,
    b"12\n/x\n1\n5432\n/\0\xff\n\n",
    b"1\n\n\n\n/nowhere\n",
]


@pytest.mark.parametrize("content", LEFT)
async def test_whatever_is_in_the_pid_file_the_data_can_be_read(traded, content):
    pid_file = traded.data_dir / "pgdata" / "postmaster.pid"
    pid_file.write_bytes(content)
    account = pid_file.parent.stat()
    os.chown(pid_file, account.st_uid, account.st_gid)
    async with private_database(traded.data_dir) as dsn, read(dsn) as source:
        assert source is not None
