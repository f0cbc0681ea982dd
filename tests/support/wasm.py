"""Fixtures: PostgreSQL with TimescaleDB in its WASM build, over its one connection.

Needs node and the folder that ``.ci/timescale_wasm/prepare`` fills; ``FASTBOOK_TEST_WASM_DIR``
names it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from fastbook_server.store.connection import connect
from fastbook_server.store.packing import Field, Part, for_copy


@pytest.fixture
def wasm_dsn():
    folder = os.environ.get("FASTBOOK_TEST_WASM_DIR")
    node = shutil.which("node")
    if not folder or not node:
        pytest.skip("FASTBOOK_TEST_WASM_DIR names no folder with a TimescaleDB in WASM, or no node")
    server = subprocess.Popen(
        [node, "server.mjs"], cwd=Path(folder), stdout=subprocess.PIPE, text=True
    )
    with server:
        try:
            said = server.stdout.readline().split()
            assert said[:1] == ["ready"], f"expected ready and a port, got {said}"
            yield f"postgresql://postgres@127.0.0.1:{said[1]}/postgres?sslmode=disable"
        finally:
            server.kill()


@pytest.fixture
async def real(wasm_dsn):
    """The one connection that there can be."""
    connection = await connect(wasm_dsn, connect_timeout_s=60, command_timeout_s=120)
    yield WithoutCopy(connection)
    connection.terminate()  # it does not answer a goodbye


def _packed(value):
    """Return a value as our rows have it."""
    if isinstance(value, UUID):
        return str(value)
    return int(value) if isinstance(value, Decimal) else value


class WithoutCopy:
    """A connection whose COPY out is a SELECT; there is no COPY in."""

    def __init__(self, connection):
        self._connection = connection

    def __getattr__(self, name):
        return getattr(self._connection, name)

    async def copy_from_query(self, query, *arguments, output, format, timeout):  # noqa: ASYNC109 (asyncpg's)
        assert format == "binary"
        statement = await self._connection.prepare(query, timeout=timeout)
        columns = [
            Field(a.name, "_text" if a.type.name == "text[]" else a.type.name, 0)
            for a in statement.get_attributes()
        ]
        rows = [
            tuple(map(_packed, row)) for row in await statement.fetch(*arguments, timeout=timeout)
        ]
        await output(bytes(for_copy(Part("rows", 0, 0, columns), rows)))
