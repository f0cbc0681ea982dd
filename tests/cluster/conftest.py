"""NATS servers, one or three, which the tests of a session share, connections, and databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from databases import embedded_dsn, make_database, make_postgres, sql_of

if TYPE_CHECKING:
    from fastbook_server.cluster.nats_nodes import NatsNodes

ANSWER_S = 10.0

__all__ = ["embedded_dsn", "make_database", "make_postgres", "sql_of"]  # fixtures


@pytest.fixture(scope="session")
def one_node() -> Iterator[NatsNodes]:
    """One NATS server."""
    from nats_nodes import nats_nodes

    with nats_nodes(1) as nodes:
        yield nodes


@pytest.fixture(scope="session")
def three_nodes() -> Iterator[NatsNodes]:
    """Three NATS servers; whoever kills one starts it again."""
    from nats_nodes import nats_nodes

    with nats_nodes(3) as nodes:
        yield nodes


@pytest.fixture
async def connect(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Any]]:
    """A function that connects to servers; its keywords are options of the connection.

    They may take their time to answer: each message is to be on a disk that others use, too.
    """
    pytest.importorskip("nats", reason="nats-py is not installed")
    from fastbook_server.cluster.nats import connection as connection_module
    from fastbook_server.cluster.nats.connection import NatsConnection

    monkeypatch.setattr(connection_module, "ANSWER_S", ANSWER_S)
    connections: list[NatsConnection] = []

    async def connected(urls: list[str], **options: Any) -> NatsConnection:
        connections.append(await NatsConnection.connect(urls, name="test", **options))
        return connections[-1]

    yield connected
    for connection in connections:
        await connection.close()
