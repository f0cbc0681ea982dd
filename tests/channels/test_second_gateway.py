"""A second gateway, fed with nothing but bytes, says what the first one says, frame by frame."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from fakes import FakeClock, FakeReader, settle
from trading import (
    COIN,
    FINE,
    SPECS,
    T0,
    ask,
    bid,
    cancel_after,
    delete,
    delete_all,
    market,
    orders,
    recovered,
)

from fastbook_server.app import gateway_settings
from fastbook_server.channels import trade_channel
from fastbook_server.channels.channel import Channel
from fastbook_server.channels.messages import (
    Submitted,
    decode_batch,
    decode_submissions,
    encode_batch,
    encode_submissions,
)
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.config import Config
from fastbook_server.gateway.http import answers
from fastbook_server.gateway.http.history_queue import HistoryQueue, recent
from fastbook_server.gateway.order_book_server import OrderBookServer
from fastbook_server.matching.exchange import Exchange
from fastbook_server.matching.pipeline import Pipeline
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.persisted import Batch
from fastbook_wire.words import Channel as ChannelName

INSTRUMENTS = {i.number: i for i in (COIN, FINE)}
CHANNELS: tuple[ChannelName, ...] = ("book", "depth", "ticker", "candles:1s", "candles:1m")
SETTINGS = gateway_settings(
    Config(instruments=SPECS, resume_grace_s=86_400, last_trades=5, throttle_ms=100)
)


class RemoteMatcher:
    """A matcher behind bytes: every command is encoded, and decoded before it is submitted."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def submit(self, user_id: str, *commands: Any) -> None:
        said = encode_submissions("gateway#1", 1, 1, (Submitted(user_id, commands),))
        (sent,) = decode_submissions(said).submitted
        self._pipeline.submit(sent.user_id, *sent.commands)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipeline, name)


class Folded:
    """What a gateway far away knows of the past: the fold of the bytes that it was sent."""

    def __init__(self) -> None:
        self.database = MemoryDatabase()
        self.messages = 0

    def follow(self, data: bytes) -> CommittedBatch:
        batch = decode_batch(data, INSTRUMENTS)
        self.messages += 1
        events = (*batch.orders, *batch.trades, *batch.cancel_rules)
        self.database.apply(Batch(batch.number, batch.settled_ms, events))
        return batch


class Pair:
    """A matcher and two gateways; each reader of the first has a twin at the second.

    With `in_steps` the second takes every batch as it takes in large ones.
    """

    def __init__(self, seed: int, *, in_steps: bool = False) -> None:
        self.random = random.Random(seed)
        self.in_steps = in_steps
        self.clock = FakeClock()
        self.store = MemoryStore()
        self.folded = Folded()
        self.readers: list[tuple[FakeReader, FakeReader]] = []
        self.followed: list[tuple[int, str, ChannelName]] = []
        self.users: list[str] = []
        self.compared = 0

    async def start(self) -> None:
        """Start the matcher and both gateways on what is durable, or on the bytes so far."""
        past = await self.store.open(SPECS, 5)
        far = recovered(
            epoch=past.epoch,
            batch_no=past.batch_no,
            time_ms=past.time_ms,
            token_key=past.token_key,
            seqs=dict(self.folded.database.seqs),
            open_orders=tuple(
                sorted(self.folded.database.open_orders.values(), key=lambda o: o.order.seq)
            ),
            last_trades={s: tuple(t[-5:]) for s, t in self.folded.database.trades.items()},
            cancel_rules=dict(self.folded.database.cancel_rules),
        )
        self.batches: Channel[CommittedBatch] = Channel()
        self.pipeline = Pipeline(
            Exchange(past),
            self.store,
            self.batches,
            batch_no=past.batch_no,
            time_ms=past.time_ms,
            clock=self.clock,
        )
        self.first = await self._gateway(past, self.store, self.pipeline)
        far_store = MemoryStore(self.folded.database)
        self.second = await self._gateway(far, far_store, RemoteMatcher(self.pipeline))
        self.batches.subscribe(self.first.on_batch)
        self.batches.subscribe(self._send)
        self.running = asyncio.ensure_future(self.pipeline.run())
        await settle()

    def _send(self, batch: CommittedBatch) -> None:
        received = self.folded.follow(encode_batch(batch))
        if not self.in_steps:
            self.second.on_batch(received)
            return
        books = [view.book_frame() for view in self.second.views.views.values()]
        steps = self.second.on_large_batch(received)
        for _ in steps:  # until the last step books are as they were
            assert [view.book_frame() for view in self.second.views.views.values()] == books

    async def _gateway(self, past: Any, store: MemoryStore, matcher: Any) -> OrderBookServer:
        reader = store.history(past.instruments)
        return OrderBookServer(
            past,
            await recent(
                reader,
                past.instruments,
                candles=SETTINGS.last_candles,
                fills=SETTINGS.last_trades,
            ),
            matcher=matcher,
            history=HistoryQueue(reader, queries_max=1, waiting_max=1),
            clock=self.clock,
            settings=SETTINGS,
        )

    async def stop(self) -> None:
        self.pipeline.stop()
        await self.running
        for gateway in (self.first, self.second):
            await gateway.close(0.0)

    # ---- what may happen ------------------------------------------------------------------------

    def connect(self, resume: str | None = None) -> None:
        """Connect a user to both gateways."""
        near, far = FakeReader(), FakeReader()
        user_id, _ = self.first.users.connect(near, resume, cancel_on_disconnect_s=None)
        token = self.first.users.token(user_id)
        again = self.second.users.connect(far, token, cancel_on_disconnect_s=None)
        assert again == (user_id, True)
        self.readers.append((near, far))
        if resume is None:
            self.users.append(user_id)

    def join(self) -> None:
        """Let a reader and its twin join a channel."""
        number = self.random.randrange(len(self.readers))
        security = self.random.choice(("COIN", "FINE"))
        channel = self.random.choice(CHANNELS)
        if (number, security, channel) in self.followed:
            return
        self.followed.append((number, security, channel))
        for gateway, reader in zip((self.first, self.second), self.readers[number], strict=True):
            opening = gateway.snapshots.build(security) if channel == "book" else None
            gateway.feeds.join(reader, security, opening, channel)

    def leave(self) -> None:
        """Let a reader and its twin leave a channel."""
        if self.followed:
            number, security, channel = self.followed.pop(self.random.randrange(len(self.followed)))
            near, far = self.readers[number]
            self.first.feeds.leave(near, security, channel)
            self.second.feeds.leave(far, security, channel)

    def fall_behind(self) -> None:
        """Let a reader and its twin read slowly, or catch up."""
        near, far = self.random.choice(self.readers)
        near.behind = not near.behind
        far.behind = near.behind

    def submit(self) -> None:
        """Submit a few commands of users at one of the two gateways."""
        matcher = self.random.choice((self.pipeline, RemoteMatcher(self.pipeline)))
        for _ in range(self.random.randint(1, 5)):
            matcher.submit(self.random.choice(self.users), self._command())

    def _command(self) -> Any:
        price, amount = self.random.randint(8, 13), self.random.randint(1, 4)
        security = self.random.choice(("COIN", "COIN", "FINE"))
        side = self.random.choice((bid, ask))
        return self.random.choice(
            (
                *[side(price, amount, "l", security=security)] * 5,
                side(price, amount, "s", security=security, self_trade="cancelOldest"),
                side(price, amount, "i", security=security, time_in_force="ioc"),
                market(self.random.choice(("bid", "ask")), amount, "m", security=security),
                side(price + 0.001, amount, "off the grid"),
                delete("d", id="x"),
                delete_all("a", security),
                cancel_after(self.random.choice((0, 500, 90_000)), "c"),
                orders("o"),
            )
        )

    async def restart(self) -> None:
        """Stop everything, start it again; every user resumes, every reader joins again."""
        await self.stop()
        await self.start()
        tokens = [self.first.users.token(user_id) for user_id in self.users]
        self.readers.clear()
        self.followed.clear()
        for token in tokens:
            self.connect(token)

    def compare(self) -> None:
        """Compare what each reader and its twin were sent since the last comparison."""
        for near, far in self.readers:
            ours, theirs = near.take(), far.take()
            assert theirs == ours
            self.compared += len(ours)

    def compare_answers(self) -> None:
        """Compare what both would answer over HTTP."""
        for security in ("COIN", "FINE"):
            near, far = (g.views.views[security] for g in (self.first, self.second))
            assert answers.book(far, 50) == answers.book(near, 50)
            assert answers.ticker(far) == answers.ticker(near)
            assert far.last_trades_frame() == near.last_trades_frame()


@pytest.mark.parametrize("in_steps", [False, True])
@pytest.mark.parametrize("seed", range(12))
async def test_a_gateway_fed_with_bytes_says_the_same_frame_by_frame(seed, in_steps, monkeypatch):
    monkeypatch.setattr(trade_channel, "PORTION", 2)
    pair = Pair(seed, in_steps=in_steps)
    await pair.start()
    for _ in range(4):
        pair.connect()
    held = False
    for _ in range(250):
        step = pair.random.choices(
            ("submit", "advance", "join", "leave", "slow", "hold", "restart"),
            (40, 30, 12, 4, 6, 7, 1),
        )[0]
        if step == "submit":
            pair.submit()
        elif step == "advance":
            pair.clock.advance(pair.random.choice((0.03, 0.2, 1.1, 1.1, 61.0)))
        elif step == "join":
            pair.join()
        elif step == "leave":
            pair.leave()
        elif step == "slow":
            pair.fall_behind()
        elif step == "hold":
            (pair.store.release if held else pair.store.hold)()
            held = not held
        elif not held:
            await pair.restart()
        await settle()
        pair.compare()
    pair.store.release()
    await settle()
    pair.clock.advance(2)
    await settle()
    pair.compare()
    pair.compare_answers()
    await pair.stop()
    assert pair.compared > 500, "a test in which nobody is told anything proves nothing"
    assert pair.clock.now_ms() > T0
