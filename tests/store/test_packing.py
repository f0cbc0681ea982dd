"""Values in PostgreSQL's binary format: what it reads is what was written."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbook_server.store import packing
from fastbook_server.store.packing import Field, Layout, Part, as_value, for_copy

TYPES = {
    "uuid": "uuid",
    "int8": "bigint",
    "int4": "integer",
    "text": "text",
    "bool": "boolean",
    "float8": "double precision",
    "numeric": "numeric",
    "_text": "text[]",
}
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9_000)
VALUES = (
    st.uuids().map(str),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**31), 2**31 - 1),
    TEXTS,
    st.booleans(),
    st.floats(allow_nan=False),
    st.integers(0, 10**60),
    st.lists(TEXTS, max_size=4),
)
ROWS = st.lists(st.tuples(*(st.none() | value for value in VALUES)), max_size=5)


@pytest.fixture(scope="module")
def table(embedded_dsn):
    """A loop and a connection to a table with a column of each type."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(embedded_dsn))
        columns = ", ".join(f"{name} {sql}" for name, sql in TYPES.items())
        runner.run(connection.execute(f"CREATE TEMP TABLE every_type ({columns})"))
        yield runner, connection
        runner.run(connection.close())


@given(rows=ROWS)
@settings(deadline=None, max_examples=60)
def test_what_is_copied_is_read_back(table, rows):
    runner, connection = table
    part = Part("rows", 0, 0, [Field(name, name, 0) for name in TYPES])

    async def there_and_back():
        await connection.execute("TRUNCATE every_type")
        await connection.copy_to_table(
            "every_type", source=for_copy(part, rows), format="binary", columns=part.names
        )
        return await connection.fetch("SELECT * FROM every_type")

    assert [tuple(map(_plain, row)) for row in runner.run(there_and_back())] == rows


def _plain(value):
    return str(value) if isinstance(value, UUID) else value


def test_a_value_is_written_in_steps(monkeypatch):
    layout = Layout([Part("gone", 1, 2, [Field("", "text", 3)])])
    batch = SimpleNamespace(gone=[str(n) for n in range(10)])
    written = []
    for portion in (1_000, 3):
        monkeypatch.setattr(packing, "PORTION", portion)
        steps, count = as_value(layout, batch), 0
        while True:
            try:
                next(steps)
            except StopIteration as end:
                written.append((count, bytes(end.value)))
                break
            count += 1
    assert [count for count, _ in written] == [0, 3]
    assert written[0][1] == written[1][1]
