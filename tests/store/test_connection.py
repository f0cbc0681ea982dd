"""Connecting and what is found there: ways that no PostgreSQL without TimescaleDB goes."""

from __future__ import annotations

import asyncpg
import pytest

from fastbook_server.store.connection import Timescale, connect, detect_timescale


class Fake:
    """A connection to a PostgreSQL with TimescaleDB; `broken`: how it answers every command."""

    def __init__(self, row=None, broken=None):
        self.row = row
        self.broken = broken
        self.said = []
        self.is_open = True

    async def execute(self, text, *arguments):
        self.said.append(text)
        if self.broken:
            raise self.broken

    async def fetchval(self, text):
        return True

    async def fetchrow(self, text):
        return self.row

    def terminate(self):
        self.is_open = False


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (("2.23.0", "timescale"), Timescale("2.23.0", "timescale")),
        (("2.23.0", None), Timescale("2.23.0", "apache")),
        (None, None),
    ],
)
async def test_an_offered_timescaledb_is_installed_and_told_with_its_licence(row, found):
    connection = Fake(row)
    assert await detect_timescale(connection) == found
    assert connection.said[-1] == "CREATE EXTENSION IF NOT EXISTS timescaledb SCHEMA public"
    assert not connection.is_open


async def test_a_connection_that_cannot_be_set_up_is_not_left_open(monkeypatch):
    connection = Fake(broken=OSError("gone"))

    async def connected(dsn, **options):
        return connection

    monkeypatch.setattr(asyncpg, "connect", connected)
    with pytest.raises(OSError, match="gone"):
        await connect("", connect_timeout_s=1, command_timeout_s=1)
    assert not connection.is_open
