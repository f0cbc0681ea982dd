"""Connections that will not close, and errors that are not the database's."""

from __future__ import annotations

import pytest

from fastbook_server.store.postgres import PostgresStore


class Reluctant:
    """A connection that answers no goodbye."""

    is_open = True

    async def close(self, *, timeout):  # noqa: ASYNC109
        raise TimeoutError

    def terminate(self):
        self.is_open = False


async def test_a_connection_that_does_not_say_goodbye_is_cut():
    store = PostgresStore("")
    connection = Reluctant()
    store._connection = connection
    await store.close()
    assert not connection.is_open


async def test_an_error_of_the_caller_is_none_of_the_databases(make_postgres, dsn, specs):
    store = make_postgres(dsn)
    history = store.history((await store.open(specs, 0)).instruments)
    with pytest.raises(KeyError, match="ours"):
        async with history._connection():
            raise KeyError("ours")
    async with history._connection() as connection:
        assert await connection.fetchval("SELECT 1") == 1
    await history.close()
