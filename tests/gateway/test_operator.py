"""What operators are told, and who asks for what is not there."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from fastbook_server import __version__
from fastbook_server.store.memory import MemoryStore
from peers import get, order, until


@pytest.mark.parametrize("path", ["/nowhere", "/healthz/", "/ws/1", "/%F0%ED", "/index.html"])
async def test_a_path_that_is_not_there_is_answered_with_those_that_are(serve, path):
    status, text = await get(await serve(), path)
    answer = json.loads(text)
    assert (status, answer["code"]) == (404, "not_found")
    assert answer["message"].startswith("expected one of /, /ws, /api, /docs")


@pytest.mark.parametrize("path", ["/web/nothing", "/web/%3Cscript%3E"])
async def test_the_pages_policy_holds_where_there_is_no_such_file_too(serve, path):
    server = await serve()
    async with aiohttp.ClientSession() as http, http.get(server.url + path) as answer:
        assert (answer.status, answer.content_type) == (404, "application/json")
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_what_operators_ask_for(serve, join):
    server = await serve()
    ann = await join(server)
    await ann.ask(order("bid", 10, 1, "1"))
    await ann.ask(order("bid", 0, 1, "2"))
    assert (await get(server, "/healthz"))[0] == 200
    assert await get(server, "/readyz") == (200, '{"status": "ready"}')
    assert (await get(server, "/version"))[1] == (
        '{"version": "' + __version__ + '", "protocol": 2, "epoch": 1, "inMemory": false}'
    )
    _, about = await get(server, "/")
    assert f"ws://127.0.0.1:{server.port}/ws" in about
    assert "in memory" not in about
    _, figures = await get(server, "/metrics")
    assert "fastbook_sessions 1.0" in figures
    assert 'fastbook_refused_total{code="invalid_price"}' in figures


async def test_a_server_that_keeps_nothing_says_so(serve):
    server = await serve(in_memory=True)
    assert json.loads((await get(server, "/version"))[1])["inMemory"] is True
    assert "in memory: everything is lost when the server stops" in (await get(server, "/"))[1]


@pytest.mark.one_process("readiness goes with the log")
async def test_readiness_goes_with_the_database(serve, join):
    store = MemoryStore()
    server = await serve(store)
    from fastbook_server.store import StoreUnavailable

    ann = await join(server, feed="none")
    store.fail_next(1, lambda: StoreUnavailable("cut"))
    store.hold()
    await ann.send(order("bid", 10, 1, "1"))
    await until(lambda: server.pipeline.uncommitted_commands == 1)
    assert "fastbook_uncommitted_commands 1.0" in (await get(server, "/metrics"))[1]
    assert (await get(server, "/readyz"))[0] == 200, "one commit that takes its time is no failure"
    store.release()
    await until(lambda: not server.pipeline.available)
    assert await get(server, "/readyz") == (503, '{"status": "unavailable"}')
    await until(lambda: server.pipeline.available)
    assert (await get(server, "/readyz"))[0] == 200


async def test_a_host_may_be_any_bytes(serve):
    server = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()
