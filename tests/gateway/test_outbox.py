"""Whole frames to a reader that may be slow: what is written ahead, what waits, what is dropped."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from fakes import FakeClock, settle

from fastbook_server.gateway.outbox import BURST_BYTES_PER_S, WRITE_BYTES_MAX, Outbox, Turn
from peers import Closed, order

MB = 1_048_576
BYTES_MAX = 4 * MB
PATIENCE_S = 60
"""A hang ends a test; a busy machine, on which it takes four times as long, does not."""


class Pipe:
    """A transport that takes everything and sends what the test lets it send."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.unsent = 0
        self.closing = False
        self.lost = False
        self._sent = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.written.append(data)
        self.unsent += len(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return self.closing

    async def drained(self) -> None:
        """Return once the peer has read everything."""
        while self.unsent and not self.lost:  # noqa: ASYNC110
            await asyncio.sleep(0)
        if self.lost:
            raise ConnectionResetError

    async def read(self) -> bytes:
        """Send what was written; return it."""
        await settle()
        data, self.written, self.unsent = b"".join(self.written), [], 0
        await settle()
        return data


class Stage:
    """An outbox of at most ``BYTES_MAX`` over such a pipe."""

    def __init__(self, turn: Turn | None = None) -> None:
        self.pipe, self.clock = Pipe(), FakeClock()
        self.overflows = 0
        self.outbox = Outbox(
            self.pipe,
            self.pipe.drained,
            self.clock,
            turn=turn or Turn(),
            bytes_max=BYTES_MAX,
            on_overflow=self.overflow,
        )

    def overflow(self) -> None:
        self.overflows += 1
        self.outbox.drop()


@pytest.fixture
async def stage():
    built = Stage()
    yield built
    built.outbox.stop()


async def test_the_frames_of_a_turn_leave_in_one_write(stage):
    for frame in (b"a", b"b", b"c"):
        stage.outbox.put(frame)
    assert stage.pipe.written == []
    await settle()
    assert stage.pipe.written == [b"abc"]


async def test_a_reader_that_is_behind_gets_whole_frames_in_order_as_it_reads(stage):
    frames = [bytes([n]) * 30_000 for n in range(20)]
    for frame in frames:
        stage.outbox.put(frame)
        await settle()
    assert len(b"".join(stage.pipe.written)) <= WRITE_BYTES_MAX + 30_000
    assert stage.outbox.unsent_bytes == 600_000
    pieces = []
    while piece := await stage.pipe.read():
        pieces.append(piece)
    assert b"".join(pieces) == b"".join(frames)
    assert {len(piece) % 30_000 for piece in pieces} == {0}
    assert stage.outbox.unsent_bytes == 0


async def test_what_is_dropped_is_all_that_the_transport_was_not_given(stage):
    for n in range(20):
        stage.outbox.put(bytes([n]) * 30_000)
        await settle()
    stage.outbox.drop()
    stage.outbox.put_last(b"last", at_once=True)
    read = await stage.pipe.read()
    assert (len(read) % 30_000, read[-4:], await stage.pipe.read()) == (4, b"last", b"")


async def test_the_last_frame_follows_all_others_or_those_already_given(stage):
    stage.outbox.put(b"x")
    stage.outbox.put_last(b"last", at_once=True)
    assert await stage.pipe.read() == b"xlast", "nothing was waiting"
    stage.outbox.put(b"a" * 2 * WRITE_BYTES_MAX)
    await settle()
    stage.outbox.put(b"b")
    stage.outbox.put_last(b"last", at_once=False)
    assert await stage.pipe.read() == b"a" * 2 * WRITE_BYTES_MAX
    assert await stage.pipe.read() == b"blast"


async def test_more_than_the_bound_left_unsent_overflows(stage):
    frames = 0
    while not stage.overflows:
        stage.outbox.put(b"x" * MB)
        await settle()
        frames += 1
    assert frames == 7, "the fifth was the burst that passed the bound, and finds five unsent"


async def test_a_burst_has_time_to_be_read(stage):
    burst = 20 * BURST_BYTES_PER_S
    for _ in range(20):
        stage.outbox.put(b"x" * BURST_BYTES_PER_S)
    await settle()
    stage.clock.advance(1)
    for second in range(15):
        stage.outbox.put(b"y")
        await settle()
        assert stage.overflows == 0, second
        await stage.pipe.read()
        stage.clock.advance(1)
    assert stage.outbox.unsent_bytes < burst - 14 * BURST_BYTES_PER_S


async def test_a_burst_that_is_not_read_overflows_in_the_end(stage):
    for _ in range(20):
        stage.outbox.put(b"x" * BURST_BYTES_PER_S)
    seconds = 0
    while not stage.overflows:
        await settle()
        stage.clock.advance(1)
        stage.outbox.put(b"y")
        await settle()
        seconds += 1
    assert seconds == 5, "one of grace, and four in which the bound itself is used up"


async def test_frames_for_later_are_built_as_they_are_read_and_nothing_overtakes_them(stage):
    built = []

    def frames():
        for n in range(10):
            built.append(n)
            yield bytes([n]) * WRITE_BYTES_MAX

    stage.outbox.put(b"before")
    stage.outbox.put_later(frames(), 10 * WRITE_BYTES_MAX + 77)
    stage.outbox.put(b"after")
    assert (await stage.pipe.read())[:6] == b"before"
    assert len(built) < 4
    assert stage.outbox.backlog_bytes > 6 * WRITE_BYTES_MAX
    read = b""
    while piece := await stage.pipe.read():
        read += piece
    assert (built, read[-6:]) == (list(range(10)), b"\x09after")
    assert stage.outbox.unsent_bytes == 0


@pytest.mark.parametrize("said", [0.0, 0.5, 2.0])
async def test_the_size_of_frames_for_later_need_not_be_exact(stage, said):
    sizes = [30_000] * 10
    stage.outbox.put_later((b"x" * size for size in sizes), int(said * sum(sizes)))
    read = 0
    while piece := await stage.pipe.read():
        read += len(piece)
    assert (read, stage.outbox.unsent_bytes) == (sum(sizes), 0)


async def test_what_was_asked_for_leaves_time_to_read_it_whatever_was_there_before(stage):
    for _ in range(3):
        stage.outbox.put_later(iter([b"x" * 5 * MB]), 5 * MB)
        await settle()
        stage.outbox.put(b"y")
        await settle()
    assert stage.overflows == 0


@pytest.mark.parametrize("attribute", ["lost", "closing"])
async def test_nothing_is_written_to_a_connection_that_is_gone(stage, attribute):
    for _ in range(3):
        stage.outbox.put(b"x" * WRITE_BYTES_MAX)
    await settle()
    stage.pipe.written.clear()
    setattr(stage.pipe, attribute, True)
    stage.pipe.unsent = 0
    await settle()
    assert stage.pipe.written == []


async def test_an_outbox_that_fails_keeps_none_of_the_others_from_sending():
    turn, errors = Turn(), []
    asyncio.get_running_loop().set_exception_handler(lambda loop, what: errors.append(what))
    stages = [Stage(turn) for _ in range(3)]
    stages[0].pipe.written = None  # it cannot be written to
    for each in (*stages, stages[2]):
        each.outbox.put(b"a")
    await settle()
    assert [each.pipe.written for each in stages] == [None, [b"a"], [b"aa"]]
    (error,) = errors
    assert str(error["exception"]) == "'NoneType' object has no attribute 'append'"


# ---- over real sockets ---------------------------------------------------------------------------


async def test_a_reader_that_has_stopped_is_closed_with_4008_and_the_others_are_served(
    serve, join, raw
):
    server = await serve(outbox_bytes_soft=20_000, outbox_bytes_max=60_000, depth=0)
    stuck = await raw(server, rcvbuf=4_096)
    await stuck.event()
    (stuck_session,) = server.gateway.feeds._feeds["COIN", "book"]._audience._readers
    stuck.writer.transport.pause_reading()
    ann, eve = await join(server, feed="none"), await join(server)
    await ann.ask(order("ask", 10, 100_000, "0"))
    traded = 0
    async with asyncio.timeout(PATIENCE_S):
        while not stuck_session._closing:
            for n in range(200):
                await ann.send(order("bid", None, 1, n))
            traded += 200
            await ann.sync()
    stuck.writer.transport.resume_reading()
    frames = []
    with contextlib.suppress(Closed):
        while True:
            frames.append(await stuck.event())
    assert stuck.close_with == 4008
    seqs = [t["seq"] for f in frames if f["event"] == "trades" for t in f["trades"]]
    assert seqs == list(range(2, 2 + len(seqs))), "none is missing before the close"
    seen = [t["seq"] for f in await eve.sync() if f["event"] == "trades" for t in f["trades"]]
    assert seen == list(range(2, 2 + traded))


async def test_a_slow_reader_need_not_read_its_backlog_to_see_why_it_was_closed(serve, join, raw):
    """It is dropped between two frames; only what transport and kernel hold is still to come."""
    server = await serve(outbox_bytes_max=4 * MB, depth=0)
    slow = await raw(server, rcvbuf=4_096)
    await slow.event()
    (session,) = server.gateway.feeds._feeds["COIN", "book"]._audience._readers
    slow.writer.transport.pause_reading()
    ann = await join(server, feed="none")
    await ann.ask(order("ask", 10, 1_000_000, "0"))
    async with asyncio.timeout(PATIENCE_S):
        while not session._closing:
            for n in range(1_000):
                await ann.send(order("bid", None, 1, n))
            await ann.sync()
    slow.writer.transport.resume_reading()
    read, opcode, payload = 0, 1, b""
    while opcode == 1:
        opcode, payload = await slow.next()
        read += len(payload)
    assert (opcode, payload[:2], payload[2:]) == (
        8,
        (4008).to_bytes(2, "big"),
        b"too slow: outbox_bytes_max reached",
    )
    assert read < MB
