"""The endpoints of streams over real sockets: paths, messages, units of time, limits, ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer
from fakes import T0
from trading import ask as plain_ask
from trading import bid as plain_bid
from venue_floor import VenueFloor

from fastbook_server.dialects.binance.sockets import SocketLimits, Sockets
from peers import PATIENCE_S

BTC = {"security": "BTC-USDT"}


class Line:
    """A server of streams over a floor, and a client's way to it."""

    def __init__(self, floor: VenueFloor, limits: SocketLimits, http: aiohttp.ClientSession):
        self.floor = floor
        self.sockets = Sockets(floor.clock, limits)
        app = web.Application()
        routes = floor.market.routes("/binance", self.sockets, lambda name: name == "secret")
        app.add_routes(routes)
        self.server = TestServer(app)
        self.http = http

    async def connect(self, path: str, **options: Any) -> aiohttp.ClientWebSocketResponse:
        """Return a connection."""
        url = str(self.server.make_url("/binance")) + path
        return await self.http.ws_connect(url, **options)

    def trade(self) -> None:
        """Let half a coin trade at 100."""
        self.floor.do("ann", plain_ask(100, 0.5, **BTC))
        self.floor.do("bob", plain_bid(100, 0.5, **BTC))


@pytest.fixture
async def lines():
    """A function that starts servers."""
    started: list[Line] = []
    async with aiohttp.ClientSession() as http:

        async def start(**limits: Any) -> Line:
            given = {"messages_per_second_max": 0} | limits
            line = Line(await VenueFloor().start(), SocketLimits(**given), http)
            await line.server.start_server()
            started.append(line)
            return line

        yield start
        for line in started:
            await line.sockets.close_all(0.1)
            line.floor.market.stop()
            await line.server.close()


@pytest.fixture
async def line(lines) -> AsyncIterator[Line]:
    """One server without limits."""
    return await lines()


async def said(ws: aiohttp.ClientWebSocketResponse, method: str, *params: Any, id_: Any = 1) -> Any:
    """Send a message; return the answer."""
    await ws.send_json({"method": method, "params": list(params), "id": id_})
    return await ws.receive_json(timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("path", "is_combined"),
    [
        ("/ws/btcusdt@trade", False),
        ("/ws/btcusdt@trade/ethusdt@trade", False),
        ("/stream?streams=btcusdt@trade/ethusdt@trade", True),
    ],
)
async def test_streams_are_named_in_the_url(line, path, is_combined):
    ws = await line.connect(path)
    line.trade()
    got = await ws.receive_json(timeout=PATIENCE_S)
    if is_combined:
        assert set(got) == {"stream", "data"}
        got = got["data"]
    assert (got["e"], got["t"], got["E"]) == ("trade", 1, T0)


@pytest.mark.parametrize("path", ["/ws", "/ws/", "/stream", "/stream/ws", "/stream/ws/3"])
async def test_streams_are_subscribed_to_on_every_path(line, path):
    ws = await line.connect(path)
    assert await said(ws, "SUBSCRIBE", "btcusdt@trade", id_="a") == {"result": None, "id": "a"}
    line.trade()
    got = await ws.receive_json(timeout=PATIENCE_S)
    assert ("stream" in got) == (path == "/stream")
    assert await said(ws, "LIST_SUBSCRIPTIONS") == {"result": ["btcusdt@trade"], "id": 1}
    assert await said(ws, "UNSUBSCRIBE", "btcusdt@trade", id_=None) == {"result": None, "id": None}
    line.trade()
    assert await said(ws, "LIST_SUBSCRIPTIONS") == {"result": [], "id": 1}


async def test_a_client_chooses_the_form_and_the_unit_of_time(line):
    ws = await line.connect("/ws/btcusdt@trade?timeUnit=microsecond")
    assert await said(ws, "GET_PROPERTY", "combined") == {"result": False, "id": 1}
    assert await said(ws, "SET_PROPERTY", "combined", True) == {"result": None, "id": 1}
    assert await said(ws, "GET_PROPERTY", "combined") == {"result": True, "id": 1}
    line.trade()
    got = await ws.receive_json(timeout=PATIENCE_S)
    assert (got["stream"], got["data"]["T"]) == ("btcusdt@trade", T0 * 1_000)
    by_header = await line.connect("/ws/btcusdt@trade", headers={"X-MBX-TIME-UNIT": "MICROSECOND"})
    line.trade()
    assert (await by_header.receive_json(timeout=PATIENCE_S))["T"] == T0 * 1_000


async def test_a_state_follows_the_answer_to_its_subscription(line):
    line.trade()
    ws = await line.connect("/ws")
    await ws.send_json({"method": "SUBSCRIBE", "params": ["btcusdt@kline_1m"], "id": 7})
    assert await ws.receive_json(timeout=PATIENCE_S) == {"result": None, "id": 7}
    assert (await ws.receive_json(timeout=PATIENCE_S))["k"]["v"] == "0.50000000"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 3),
        ("[]", 2),
        ('{"id": 1}', 2),
        ('{"method": "HOPE", "id": 1}', 2),
        ('{"method": "SUBSCRIBE", "id": 1}', 2),
        ('{"method": "SUBSCRIBE", "params": {}, "id": 1}', 2),
        ('{"method": "SUBSCRIBE", "params": [1], "id": 1}', 2),
        ('{"method": "SUBSCRIBE", "params": ["nope@trade"], "id": 1}', 2),
        ('{"method": "LIST_SUBSCRIPTIONS", "id": 1.5}', 2),
        ('{"method": "LIST_SUBSCRIPTIONS", "id": "' + "a" * 37 + '"}', 2),
        ('{"method": "SET_PROPERTY", "params": ["combined", 1], "id": 1}', 1),
        ('{"method": "SET_PROPERTY", "params": ["speed", true], "id": 1}', 0),
        ('{"method": "GET_PROPERTY", "params": [], "id": 1}', 2),
    ],
)
async def test_what_makes_no_sense_is_refused_and_the_connection_stays(line, text, code):
    ws = await line.connect("/ws")
    await ws.send_str(text)
    got = await ws.receive_json(timeout=PATIENCE_S)
    assert (set(got), got["code"]) == ({"code", "msg", "id"}, code)
    assert (await said(ws, "LIST_SUBSCRIPTIONS"))["result"] == []


async def test_the_listen_key_of_an_account_is_a_stream(line):
    ws = await line.connect("/ws/secret")
    line.floor.market.topics.tell("secret", lambda _: {"e": "executionReport"})
    assert await ws.receive_json(timeout=PATIENCE_S) == {"e": "executionReport"}


@pytest.mark.parametrize("path", ["/ws/nope@trade", "/stream?streams=btcusdt@x", "/ws?timeUnit=H"])
async def test_a_handshake_for_what_there_is_not_is_refused_in_json(line, path):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await line.connect(path)
    assert refused.value.status == 400
    plain = await line.http.get(str(line.server.make_url("/binance/ws")))
    assert (plain.status, set(await plain.json())) == (400, {"code", "msg"})


async def test_more_streams_than_a_connection_may_have_are_refused(line, monkeypatch):
    from fastbook_server.dialects.binance import stream_server

    monkeypatch.setattr(stream_server, "STREAMS_MAX", 2)
    ws = await line.connect("/ws")
    names = ["btcusdt@trade", "btcusdt@depth", "ethusdt@trade"]
    assert (await said(ws, "SUBSCRIBE", *names))["code"] == 2
    assert (await said(ws, "SUBSCRIBE", *names[:2]))["result"] is None
    assert (await said(ws, "SUBSCRIBE", *names[:2]))["result"] is None
    assert (await said(ws, "SUBSCRIBE", names[2]))["code"] == 2


async def test_more_than_five_messages_in_a_second_end_a_connection(lines):
    line = await lines(messages_per_second_max=5)
    ws = await line.connect("/ws")
    for _ in range(6):
        await ws.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    kinds = [(await ws.receive(timeout=PATIENCE_S)).type for _ in range(6)]
    assert kinds == [WSMsgType.TEXT] * 5 + [WSMsgType.CLOSE]
    assert ws.close_code == 1008


async def test_a_peer_is_pinged_and_one_that_is_silent_is_cut_off(line):
    ws = await line.connect("/ws", autoping=False)
    for _ in range(5):
        line.floor.clock.advance(20)
        assert (await ws.receive(timeout=PATIENCE_S)).type is WSMsgType.PING
        await ws.pong(b"")  # as some clients answer: without the payload
        await ws.ping(b"x")
        assert (await ws.receive(timeout=PATIENCE_S)).data == b"x"  # so both have arrived
    kinds = []
    for _ in range(3):
        line.floor.clock.advance(20)
        kinds.append((await ws.receive(timeout=PATIENCE_S)).type)
    assert kinds == [WSMsgType.PING, WSMsgType.PING, WSMsgType.CLOSED]


async def test_a_stop_is_announced(line):
    ws = await line.connect("/ws/btcusdt@trade")
    stopping = asyncio.create_task(line.sockets.close_all(5))
    assert await ws.receive_json(timeout=PATIENCE_S) == {"e": "serverShutdown", "E": T0}
    assert (await ws.receive(timeout=PATIENCE_S)).type is WSMsgType.CLOSE
    assert ws.close_code == 1001
    await stopping
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await line.connect("/ws")


async def test_a_day_is_the_longest_life_of_a_connection(line):
    ws = await line.connect("/ws", autoping=False)
    line.floor.clock.advance(20)
    assert (await ws.receive(timeout=PATIENCE_S)).type is WSMsgType.PING
    for socket in line.sockets._open:
        socket._began_s -= 86_400
    line.floor.clock.advance(20)
    assert (await ws.receive_json(timeout=PATIENCE_S))["e"] == "serverShutdown"


async def test_a_reader_that_does_not_keep_up_is_closed_not_skipped(lines):
    line = await lines(outbox_bytes_max=100_000)
    ws = await line.connect("/ws/btcusdt@trade")
    ws._response.connection.transport.pause_reading()
    (socket,) = line.sockets._open
    for _ in range(100):
        for _ in range(200):
            line.trade()
        line.floor.clock.advance(1)  # what a burst holds is given time to be read
        await asyncio.sleep(0)
        if socket.closing:
            break
    assert socket.closing
    ws._response.connection.transport.resume_reading()
    last = 0
    async for message in ws:
        trade = message.json()
        assert trade["t"] == last + 1
        last = trade["t"]
    assert ws.close_code == 4008
