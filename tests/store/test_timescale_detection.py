"""Finding TimescaleDB: the ways that a PostgreSQL without it never goes."""

from __future__ import annotations

import pytest

from fastbook_server.store.connection import Timescale, detect_timescale


class Fake:
    """A connection to a PostgreSQL that offers TimescaleDB; `row`: what it installs."""

    def __init__(self, row):
        self.row = row
        self.said = []
        self.is_open = True

    async def execute(self, text, *arguments):
        self.said.append(text)

    async def fetchval(self, text):
        return True

    async def fetchrow(self, text):
        return self.row if any("CREATE EXTENSION" in said for said in self.said) else None

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
