"""Bad input of every kind and every bound of a connection: its answer, and nobody else's harm."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re

import pytest
from aiohttp import WSMessage, WSMsgType
from fakes import FakeClock

from fastbook_server import metrics
from fastbook_server.channels.order_channel import Pressure
from fastbook_server.gateway import session, websocket_frames
from fastbook_server.gateway.outbox import Turn
from fastbook_server.gateway.session import FRAMES_PER_TURN, Session, SessionLimits
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.clock import LoopClock
from fastbook_wire.words import Code
from peers import PATIENCE_S, Closed, order, until

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


# ---- bad input -----------------------------------------------------------------------------------


def add(price: str, amount: str) -> str:
    new = f'"type":"bid","execType":"limit","price":{price},"amount":{amount}'
    return '{"op":"add","ref":"r","order":{' + new + "}}"


@pytest.mark.parametrize(
    ("text", "code", "ref", "words"),
    [
        ("hello", "bad_frame", None, "malformed"),
        ("", "bad_frame", None, "is incomplete"),
        ("[]", "bad_frame", None, "Expected 1 to 100 commands, got 0"),
        ('{"op":"ping","ref":"r","extra":1}', "bad_frame", "r", "`extra`"),
        ('{"op":"pong","ref":"r"}', "unknown_op", "r", "`$.op`"),
        ('{"op":"add","ref":"r"}', "bad_frame", "r", "`order`"),
        (add('"1"', "1"), "bad_frame", "r", "`$.order.price`"),
        (add("NaN", "1"), "bad_frame", None, "malformed"),
        (add("1e999", "1"), "bad_frame", "r", "`$.order.price`"),
        ('{"op":"delete","ref":"r","clientOrderId":"\\u0000"}', "bad_frame", "r", "clientOrderId"),
        ("[" * 60_000, "bad_frame", None, "nesting"),
        ('{"a":' * 13_000, "bad_frame", None, "nesting"),
        ('{"op":"subscribe","ref":"r","security":"\\u0000"}', "unknown_security", "r", "security"),
        ('{"op":"deleteAll","ref":"r","security":"é"}', "unknown_security", "r", "security"),
    ],
    ids=lambda v: str(v)[:40],
)
async def test_what_is_no_command_gets_one_error(serve, join, text, code, ref, words):
    server = await serve()
    peer = await join(server, feed="none")
    await peer.send(text)
    (frame,) = await peer.sync()
    assert (frame["event"], frame["code"], frame.get("ref")) == ("error", code, ref)
    assert words in frame["message"]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (add("-1", "1"), "invalid_price", "price -1.0 is not positive"),
        (add("0", "1"), "invalid_price", "price 0.0 is not positive"),
        (add("100.5", "1"), "invalid_price", "price 100.5 is not a multiple of tickSize 1"),
        (add("1e308", "1"), "invalid_price", "price 1e+308 is more than the largest"),
        (add("1", "0.5"), "invalid_amount", "amount 0.5 is not a multiple of lotSize 1"),
        (add("1", "-0"), "invalid_amount", "amount 0.0 is not positive"),
        ('{"op":"delete","ref":"r","id":"\\u0000"}', "unknown_order", "id: you have no open order"),
        (
            '{"op":"delete","ref":"r","clientOrderId":"x"}',
            "unknown_order",
            "clientOrderId: you have no",
        ),
    ],
    ids=lambda v: str(v)[:70],
)
async def test_what_a_rule_refuses_is_a_rejected_order(serve, join, text, code, words):
    server = await serve()
    peer = await join(server, feed="none")
    await peer.send(text)
    (frame,) = await peer.sync()
    assert list(frame) == ["event", "ref", "status", "code", "message"]
    assert [frame[k] for k in ("event", "ref", "status", "code")] == [
        "order",
        "r",
        "rejected",
        code,
    ]
    assert words in frame["message"]


async def test_bad_input_leaves_the_connection_and_everybody_elses_untouched(serve, join):
    server = await serve()
    ann, eve = await join(server), await join(server)
    await ann.take(2), await eve.take(2)
    order_id = (await ann.ask(order("bid", 10, 1, "0")))["order"]["id"]
    await eve.sync()
    for bad in ("{", '{"op":"x"}', add("0", "0"), add("1e999", "1")):
        await eve.send(bad)
    await eve.send({"op": "delete", "ref": "1", "id": order_id})
    assert [f["event"] for f in await eve.sync()] == ["error", "error", "error", "order", "order"]
    await ann.sync()
    reply = await eve.ask(order("ask", 10, 1, "2"))
    assert (reply["status"], [f["event"] for f in await ann.sync()]) == (
        "filled",
        ["fill", "order", "trades", "aggOrderBook"],
    )


@pytest.mark.parametrize(
    ("opcode", "payload", "options", "code"),
    [
        (BINARY, b'{"op":"ping"}', {}, 1003),
        (TEXT, b'{"op":"ping","ref":"\xff"}', {}, 1007),
        (TEXT, b"\xed\xa0\x80", {}, 1007),
        (TEXT, b"x" * 2**20, {}, 1009),
        (TEXT, b"x" * 65_537, {}, 1009),
        (TEXT, b"{}", {"rsv": 4}, 1002),
        (3, b"", {}, 1002),
        (PING, b"x" * 126, {}, 1002),
        (PING, b"", {"fin": False}, 1002),
    ],
    ids=["binary", "utf8", "surrogate", "1MB", "65537", "rsv", "opcode", "ping126", "pingfin"],
)
async def test_frames_that_the_protocol_forbids_close_with_their_code(
    serve, join, raw, opcode, payload, options, code
):
    server = await serve()
    other, peer = await join(server, feed="none"), await raw(server, "/ws?feed=none")
    peer.frame(opcode, payload, **options)
    assert await peer.close_code() == code
    assert (await other.ask({"op": "ping", "ref": "1"}))["event"] == "pong"


async def test_the_largest_frame_is_taken(serve, raw):
    server = await serve()
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    peer.text(b'{"op":"ping","ref":"1"' + b" " * (65_536 - 23) + b"}")
    assert (await peer.event())["event"] == "pong"


async def test_compression_is_offered_in_vain(serve, raw):
    server = await serve()
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    peer = await raw(server, "/ws?feed=none", headers=offer)
    assert b"101 Switching" in peer.head
    assert b"extensions" not in peer.head.lower()
    assert (await peer.event())["event"] == "welcome"


async def test_a_client_that_is_cut_off_leaves_no_session(serve, join, raw):
    server = await serve()
    peer = await raw(server)
    await peer.event()
    peer.writer.transport.abort()
    watcher = await join(server, feed="none")
    await until(lambda: len(server.gateway.door._sessions) == 1)
    assert len(server.gateway.feeds._feeds["COIN", "book"]._audience) == 0
    assert (await watcher.ask({"op": "ping", "ref": "1"}))["event"] == "pong"


# ---- floods ------------------------------------------------------------------------------------


class FloodedSocket:
    """A WebSocket on which so many frames are waiting, and then a close."""

    def __init__(self, frame: WSMessage, count: int) -> None:
        self.frame = frame
        self.left = count
        self.heard = False

    def has_heard(self) -> bool:
        """Return what a test has set, once."""
        heard, self.heard = self.heard, False
        return heard

    async def receive(self) -> WSMessage:
        """Return at once, as aiohttp does while frames are waiting."""
        if self.left == 0:
            return WSMessage(WSMsgType.CLOSE, 1000, "")
        self.left -= 1
        return self.frame

    def deliver_to(self, take: object) -> None:
        """Hand on nothing: all frames are waiting already."""

    async def drained(self) -> None:
        """Return at once, as nothing waits."""


class Everything:
    """Stands in for a transport and for what a session talks to; keeps what was written."""

    securities = ("COIN",)

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.aborted = False
        self.under = Pressure.NONE

    def pressure(self, user_id: str) -> Pressure:
        return self.under

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Do nothing."""

    def abort(self) -> None:
        self.aborted = True


def session_on(ws: FloodedSocket) -> tuple[Session, Everything]:
    limits = SessionLimits(
        commands_per_second_max=10**9,
        cancels_per_second_reserve=1,
        refusals_per_second_max=10**9,
        subscriptions_max=1,
        outbox_bytes_soft=10**9,
        outbox_bytes_max=10**9,
    )
    all_else = Everything()
    flooded = Session(
        ws,
        all_else,
        security="COIN",
        matcher=all_else,
        feeds=all_else,
        users=all_else,
        history=all_else,
        limits=limits,
        clock=LoopClock(),
        turn=Turn(),
    )
    return flooded, all_else


@pytest.mark.parametrize("closing", [False, True], ids=["open", "closing"])
@pytest.mark.parametrize(
    "frame",
    [
        WSMessage(WSMsgType.PING, b"", ""),
        WSMessage(WSMsgType.PONG, b"", ""),
        WSMessage(WSMsgType.TEXT, b'{"op":"ping"}', ""),
        WSMessage(WSMsgType.TEXT, b"no command", ""),
        WSMessage(WSMsgType.BINARY, b"", ""),
    ],
    ids=lambda frame: f"{frame.type.name} {frame.data.decode()}",
)
async def test_a_flood_of_any_kind_leaves_the_others_their_turns(frame, closing):
    ws = FloodedSocket(frame, 10 * FRAMES_PER_TURN)
    flooded, _ = session_on(ws)
    if closing:
        flooded.close(1001, "the server is stopping")
    running = asyncio.ensure_future(flooded.run())
    left = []
    while not running.done():
        left.append(ws.left)
        await asyncio.sleep(0)
    handled = [before - after for before, after in itertools.pairwise([*left, ws.left])]
    assert sum(handled) == 10 * FRAMES_PER_TURN
    assert max(handled) == FRAMES_PER_TURN


async def test_a_turns_pings_are_answered_in_one_write():
    flooded, transport = session_on(FloodedSocket(WSMessage(WSMsgType.PING, b"hi", ""), 3))
    await flooded.run()
    pongs = websocket_frames.pong(b"hi") * 3
    assert transport.writes == [pongs + websocket_frames.close(1000)]


async def test_a_session_that_closes_waits_for_no_matcher():
    flooded, all_else = session_on(FloodedSocket(WSMessage(WSMsgType.TEXT, b"{}", ""), 3))
    all_else.under = Pressure.WAIT
    flooded.close(1001, "the server is stopping")
    await flooded.run()  # there is no progress() to wait for


async def test_a_session_that_closes_is_never_behind(monkeypatch):
    session, all_else = session_on(FloodedSocket(WSMessage(WSMsgType.TEXT, b"{}", ""), 0))
    monkeypatch.setattr(all_else, "get_write_buffer_size", lambda: 10**9 + 1)
    assert not session.send_state(b"")
    session.close(1001, "the server is stopping")
    assert session.send_state(b"")


@pytest.mark.parametrize(
    ("beats", "pings", "aborted"),
    [
        ([False], 0, False),
        ([False, False], 1, False),
        ([False, False, False], 1, True),
        ([False, True, False], 0, False),
        ([False, False, True, False, False], 2, False),
    ],
)
async def test_who_is_silent_is_pinged_and_cut_off_if_it_stays_so(beats, pings, aborted):
    ws = FloodedSocket(WSMessage(WSMsgType.TEXT, b"{}", ""), 0)
    session, transport = session_on(ws)
    for heard in beats:
        ws.heard = heard
        session.beat()
        await asyncio.sleep(0)
    assert transport.writes == [websocket_frames.ping()] * pings
    assert transport.aborted == aborted


async def test_a_slow_reader_that_is_being_closed_has_its_time_though_it_is_silent():
    session, transport = session_on(FloodedSocket(WSMessage(WSMsgType.TEXT, b"{}", ""), 0))
    session.close(4008, "too slow")
    for _ in range(5):
        session.beat()
    assert not transport.aborted


async def test_a_close_that_is_answered_leaves_no_timer(serve, raw):
    server = await serve()
    clock = FakeClock()
    server.gateway.door._clock = clock
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    peer.frame(BINARY, b"")
    assert await peer.close_code() == 1003
    assert clock.pending == 1
    peer.frame(CLOSE, (1003).to_bytes(2, "big"))
    assert await peer.reader.read() == b""
    await until(lambda: server.gateway.door.session_count == 0)
    assert clock.pending == 0


async def test_each_ping_is_answered_with_its_payload_and_a_pong_with_nothing(serve, raw):
    peer = await raw(await serve(), "/ws?feed=none")
    await peer.event()
    payloads = [b"", *(b"%d" % n * (n % 30) for n in range(1, 500)), b"x" * 125]
    for payload in payloads:
        peer.frame(PONG, payload)
        peer.frame(PING, payload)
    assert [await peer.next() for _ in payloads] == [(PONG, payload) for payload in payloads]
    peer.text({"op": "ping", "ref": "1"})
    assert (await peer.event())["ref"] == "1"


async def test_who_does_not_read_the_answers_to_its_pings_is_closed(serve, join, raw):
    server = await serve(outbox_bytes_max=20_000)
    stuck = await raw(server, "/ws?feed=none", rcvbuf=4_096)
    ann = await join(server, feed="none")
    await stuck.event()
    stuck.writer.transport.pause_reading()
    async with asyncio.timeout(PATIENCE_S):
        while not session_of(server, stuck)._closing:
            for _ in range(200):
                stuck.frame(PING, b"x" * 125)
            await ann.ask({"op": "ping", "ref": "1"})
    stuck.writer.transport.resume_reading()
    while (frame := await stuck.next()) == (PONG, b"x" * 125):
        pass
    assert (frame[0], int.from_bytes(frame[1][:2], "big")) == (CLOSE, 4008)


# ---- at once, or in turn -------------------------------------------------------------------------


async def test_what_need_not_be_waited_for_is_handled_as_it_arrives(serve, raw, monkeypatch):
    class Impatient(Session):
        async def _handle(self, data):
            raise AssertionError(f"{data} went through the queue")

    server = await serve()
    monkeypatch.setattr(server.gateway.door, "session_type", Impatient)
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    for ref in range(3):
        peer.text({"op": "ping", "ref": ref})
        assert (await peer.event())["ref"] == ref
    peer.text([order("bid", 10, 1, "a"), order("bid", 10, 1, "b")])
    assert [(await peer.event())["ref"] for _ in "ab"] == ["a", "b"]


async def test_nothing_overtakes_what_is_waited_for(serve, raw, monkeypatch):
    server = await serve()
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    feeds, asked, may_open = server.gateway.feeds, asyncio.Event(), asyncio.Event()
    opening = feeds.opening

    async def late(*arguments):
        asked.set()
        await may_open.wait()
        return await opening(*arguments)

    monkeypatch.setattr(feeds, "opening", late)
    peer.text({"op": "subscribe", "security": "COIN", "channel": "book", "ref": "1"})
    await asked.wait()
    asking, handed_on = session_of(server, peer), []
    take = asking.take
    asking._ws.deliver_to(lambda data: handed_on.append(take(data)) or handed_on[-1])
    peer.text({"op": "ping", "ref": "2"})
    await until(lambda: handed_on)
    may_open.set()
    events = [await peer.event() for _ in range(4)]
    assert [e["event"] for e in events] == ["subscribed", "aggOrderBook", "trades", "pong"]


async def test_a_list_of_orders_waits_until_the_last_one_is_read(serve, raw, monkeypatch):
    may_read, asked = asyncio.Event(), asyncio.Event()

    class Patient(Session):
        async def _until_read(self):
            asked.set()
            await may_read.wait()

    server = await serve()
    monkeypatch.setattr(server.gateway.door, "session_type", Patient)
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    peer.text({"op": "orders", "ref": "1"})
    await asked.wait()
    may_read.set()
    assert (await peer.event())["ref"] == "1"


# ---- bounds --------------------------------------------------------------------------------------


async def test_every_refusal_is_counted_once(serve, join):
    server = await serve(subscriptions_max=1, commands_per_second_max=5)
    server.gateway.door._clock = FakeClock()
    peer = await join(server)
    before = {code: refused(code) for code in Code}
    await peer.send("{")
    await peer.send({"op": "subscribe", "ref": 1, "security": "NOPE"})
    await peer.send({"op": "unsubscribe", "ref": 2, "security": "NOPE"})
    await peer.send({"op": "subscribe", "ref": 3, "security": "FINE"})
    await peer.ask(order("bid", 0, 1, 4))
    await peer.ask({"op": "ping", "ref": 5})
    counted = {code: refused(code) - before[code] for code in Code}
    assert {code: count for code, count in counted.items() if count} == {
        "bad_frame": 1,
        "unknown_security": 2,
        "overloaded": 1,
        "invalid_price": 1,
        "rate_limited": 1,
    }


def refused(code: str) -> float:
    """Return how many refusals with this code have been counted."""
    return metrics.REFUSED.of[code]


async def test_subscriptions_are_bounded(serve, join):
    server = await serve(subscriptions_max=1)
    peer = await join(server)
    frame = await peer.ask({"op": "subscribe", "ref": "1", "security": "FINE"})
    assert frame == {
        "event": "error",
        "ref": "1",
        "code": "overloaded",
        "retryAfterMs": 1_000,
        "message": "subscriptions_max 1 reached",
    }
    again = await peer.ask({"op": "subscribe", "ref": "2", "security": "COIN"})
    assert again["event"] == "subscribed", "it follows this one already"
    await peer.ask({"op": "unsubscribe", "ref": "3", "security": "COIN"})
    other = await peer.ask({"op": "subscribe", "ref": "4", "security": "FINE"})
    assert other["event"] == "subscribed"


async def test_each_channel_of_a_security_counts_as_a_subscription(serve, join):
    server = await serve(subscriptions_max=2)
    peer = await join(server, feed="none")

    async def ask(op: str, channel: str) -> str:
        named = {"op": op, "ref": f"{op} {channel}", "security": "COIN", "channel": channel}
        return (await peer.ask(named))["event"]

    assert [await ask("subscribe", c) for c in ("depth", "ticker", "candles:1m", "depth")] == [
        *("subscribed", "subscribed", "error", "subscribed")
    ]
    assert await ask("unsubscribe", "ticker") == "unsubscribed"
    assert await ask("subscribe", "candles:1m") == "subscribed"


async def test_an_unknown_channel_is_named_with_the_choices(serve, join):
    peer = await join(await serve(), feed="none")
    await peer.send({"op": "subscribe", "ref": "1", "security": "COIN", "channel": "candles:2m"})
    (frame,) = await peer.sync()
    assert (frame["code"], frame["ref"]) == ("bad_frame", "1")
    assert frame["message"] == (
        "Expected book or fills or depth or ticker or candles:1s or candles:1m or candles:5m or "
        "candles:1h or candles:1d, got 'candles:2m' - at `$.channel`"
    )


async def test_following_again_starts_again_and_unfollowing_ends_it(serve, join):
    server = await serve()
    peer = await join(server, feed="none")
    follow = {"security": "COIN", "channel": "depth"}
    for ref in ("1", "2"):
        await peer.send({"op": "subscribe", "ref": ref, **follow})
    frames = await peer.sync()
    assert [f["event"] for f in frames] == ["subscribed", "depth"] * 2
    await peer.ask(order("bid", 10, 1, "3"))
    assert [(f["event"], f["prevSeq"]) for f in await peer.sync()] == [("depth", 0)]
    await peer.ask({"op": "unsubscribe", "ref": "4", **follow})
    await peer.ask(order("bid", 10, 1, "5"))
    assert await peer.sync() == []


async def test_who_is_gone_follows_nothing(serve, join):
    server = await serve()
    peer, watcher = await join(server), await join(server, feed="none")
    channels = ("depth", "ticker", "candles:1s")
    for channel in channels:
        await peer.ask({"op": "subscribe", "ref": "1", "security": "COIN", "channel": channel})
    await peer.ws.close()
    await until(lambda: len(server.gateway.door._sessions) == 1)
    feeds = server.gateway.feeds._feeds
    assert [len(feeds["COIN", c]._audience) for c in channels] == [0, 0, 0]
    await watcher.ask(order("bid", 10, 1, "2"))


async def test_a_reader_of_depth_that_does_not_read_is_closed_not_left_with_a_gap(serve, join, raw):
    server = await serve(outbox_bytes_soft=1_000, outbox_bytes_max=20_000)
    slow = await raw(server, "/ws?feed=none", rcvbuf=4_096)
    await slow.event()
    slow.text({"op": "subscribe", "ref": "1", "security": "COIN", "channel": "depth"})
    maker = await join(server, feed="none")
    await until(lambda: len(server.gateway.feeds._feeds["COIN", "depth"]._audience) == 1)
    slow.writer.transport.pause_reading()
    dice = random.Random(1)
    async with asyncio.timeout(PATIENCE_S):
        while not session_of(server, slow)._closing:
            for _ in range(200):
                await maker.send(order("bid", dice.randint(1, 1_000), 1))
            await maker.sync()
    slow.writer.transport.resume_reading()
    prev = None
    with contextlib.suppress(Closed):
        while True:
            frame = await slow.event()
            if frame["event"] == "depth":
                assert frame["prevSeq"] == prev
                prev = frame["seq"]
    assert (slow.close_with, prev is not None) == (4008, True)


async def test_who_asks_for_many_whole_books_at_once_gets_one_after_the_other(serve, join, raw):
    server = await serve(outbox_bytes_soft=1_000, outbox_bytes_max=10**9)
    maker = await join(server, feed="none")
    for price in range(1, 2_001):
        await maker.send(order("bid", price, 1))
    await maker.sync()
    greedy = await raw(server, "/ws?feed=none", rcvbuf=4_096)
    await greedy.event()
    transport = session_of(server, greedy)._transport
    greedy.writer.transport.pause_reading()
    for number in range(100):
        subscribe = {"op": "subscribe", "ref": str(number), "security": "COIN"}
        greedy.text(subscribe | {"channel": "depth"})
    await until(lambda: transport.get_write_buffer_size() > 1_000)
    await maker.sync()
    assert transport.get_write_buffer_size() < 10**6, "a hundred books are some 6 MB"
    greedy.writer.transport.resume_reading()
    for number in range(100):
        await greedy.reply(str(number))
        assert len((await greedy.event())["bid"]) == 2_000


def session_of(server, peer):
    """Return the server's session of a raw peer."""
    port = peer.writer.get_extra_info("sockname")[1]
    for found in server.gateway.door._sessions:
        if found._transport.get_extra_info("peername")[1] == port:
            return found
    raise AssertionError("no such session")


async def test_a_slow_reader_skips_books_and_gets_the_newest_when_it_has_caught_up(
    serve, join, raw
):
    server = await serve(outbox_bytes_soft=10_000, outbox_bytes_max=10**9, depth=0)
    slow = await raw(server, rcvbuf=4_096)
    ann = await join(server, feed="none")
    await slow.event()
    transport = session_of(server, slow)._transport
    slow.writer.transport.pause_reading()
    price = 0
    async with asyncio.timeout(PATIENCE_S):
        while transport.get_write_buffer_size() < 10_000:
            price += 1
            await ann.ask(order("bid", price, 1, "fill"))
        for _ in range(100):
            price += 1
            await ann.ask(order("bid", price, 1, "more"))
    slow.writer.transport.resume_reading()
    books = []
    while not books or books[-1]["seq"] < price:
        frame = await slow.event()
        if frame["event"] == "aggOrderBook":
            books.append(frame)
    assert len(books[-1]["aggOrderBook"]["bid"]) == price
    assert len(books) < price - 50, "what was published meanwhile was skipped"


@pytest.mark.one_process("what finds no room waits in the gateway")
async def test_a_flooding_client_is_read_more_slowly_while_commits_wait(serve, raw):
    store = MemoryStore()
    server = await serve(store, inbox_commands_max=50, batch_commands_max=10)
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    store.hold()
    for n in range(2_000):
        peer.text(order("bid", 10, 1, n))
    await until(lambda: server.pipeline.uncommitted_commands >= 25)
    for _ in range(50):
        await asyncio.sleep(0)
    assert server.pipeline.uncommitted_commands == 25, "half of the room; the rest is for others"
    store.release()
    replies = [await peer.event() for _ in range(2_000)]
    assert [(r["ref"], r["status"]) for r in replies] == [(n, "open") for n in range(2_000)]


@pytest.mark.one_process("what finds no room waits in the gateway")
async def test_a_database_that_is_away_is_unavailable_at_once_and_recovers_by_itself(serve, join):
    store = MemoryStore()
    server = await serve(store, uncommitted_events_max=6)
    ann = await join(server, feed="none")
    store.hold()
    for n in range(3):
        await ann.send(order("bid", 10, 1, n))
    refused = await ann.next()
    assert refused == {
        "event": "order",
        "ref": 2,
        "status": "rejected",
        "code": "unavailable",
        "message": "the database is away or too slow: uncommitted_events_max 6 reached",
        "retryAfterMs": 1_000,
    }
    assert (await ann.ask({"op": "ping", "ref": "p"}))["event"] == "pong"
    store.release()
    assert [(f["ref"], f["status"]) for f in await ann.take(2)] == [(0, "open"), (1, "open")]
    assert (await ann.ask(order("bid", 10, 1, 3)))["status"] == "open"


async def test_a_closing_session_hears_nothing_more_from_its_peer(serve, raw, monkeypatch):
    """A peer that does not answer the close is cut off, and its commands count no more."""
    monkeypatch.setattr(session, "CLOSE_TIMEOUT_S", 0.2)
    server = await serve()
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    peer.frame(BINARY, b"")
    peer.text(order("bid", 10, 1, "1"))
    assert await peer.close_code() == 1003
    async with asyncio.timeout(PATIENCE_S):
        assert await peer.reader.read() == b""
    assert server.pipeline.exchange.markets["COIN"].seq == 0


async def test_an_opening_larger_than_the_outbox_bound_does_not_make_a_reader_slow(serve, join):
    server = await serve(outbox_bytes_soft=10_000, outbox_bytes_max=20_000, depth=0)
    ann = await join(server, feed="none")
    for price in range(1, 10_001):
        await ann.send(order("bid", price, 1))
    await ann.sync()
    late = await join(server)
    assert len((await late.next())["aggOrderBook"]["bid"]) == 10_000
    assert [f["event"] for f in await late.sync()] == ["trades"]


async def test_nobody_draws_the_id_of_a_past_user(serve, join):
    """It would show the orders and fills of that user: 13 of 32 signs are 65 bits."""
    server = await serve()
    drawn = {(await join(server, feed="none")).user_id for _ in range(20)}
    assert len(drawn) == 20
    assert all(re.fullmatch("user#[a-km-np-z2-9]{13}", user_id) for user_id in drawn)
