"""Rows about market data: what one event costs that goes to many, and what a connection costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial

from benchmarks.server.processes import Server, bare, fastbook
from benchmarks.server.row import READERS, Figure, Measure, Open, Side, Size, in_turns, side
from fastbook_client.connection import dial

SESSIONS = 1_000
ONLY_TRADES = ("--throttle-ms", "60000")
"""Books would come so seldom that the readers get trades alone."""


def event_of(server: Server) -> str:
    """Return a frame with one trade, as a server's readers get it."""

    async def ask() -> str:
        async with dial(server.url, security="S0") as connection:
            for side_ in ("ask", "bid"):
                order = {"type": side_, "execType": "limit", "price": 100.0, "amount": 1.5}
                await connection.send({"op": "add", "order": order})
            while True:
                frame = await connection.receive_bytes()
                if frame.startswith(b'{"event":"trades"') and b'"total"' in frame:
                    return frame.decode()

    return asyncio.run(ask())


def _fans(stack: ExitStack, size: Size) -> tuple[Side, Side]:
    """Return a server and a bare one that writes the same event, both with SESSIONS readers."""
    ours = side(stack, fastbook(*ONLY_TRADES))
    base = side(stack, bare("fan", event_of(ours.server)))
    for each in (ours, base):
        each.connect(1, bare=each is base)
        each.connect(size.of(SESSIONS), READERS, bare=each is base)
        each.load.ask(f"fan {size.seconds / 4} 1")
    return ours, base


@contextmanager
def one_event(size: Size) -> Iterator[Measure]:
    """Measure the CPU per delivery of one trade, the two orders included."""
    with ExitStack() as stack:
        sides = _fans(stack, size)
        yield in_turns(*(partial(each.cpu, f"fan {size.seconds} 1") for each in sides))


@contextmanager
def bursts(size: Size) -> Iterator[Measure]:
    """Measure deliveries of eight trades at once, beside raw writes of one each."""
    with ExitStack() as stack:
        ours, base = _fans(stack, size)
        fans = (
            partial(ours.rate, f"fan {size.seconds} 8"),
            partial(base.rate, f"fan {size.seconds} 1"),
        )
        yield in_turns(*fans)


@contextmanager
def stalled(size: Size) -> Iterator[Measure]:
    """Measure the CPU per delivery to the others while a tenth of the readers stall."""
    with ExitStack() as stack:
        sides = [side(stack, fastbook(*ONLY_TRADES)) for _ in range(2)]
        for each in sides:
            each.connect(1)
            each.connect(size.of(SESSIONS), READERS)
        sides[0].load.ask(f"stall {size.of(SESSIONS) // 10}")
        for each in sides:  # until the sockets of those who stall are full
            each.load.ask(f"fan {2 * size.seconds} 8")
        yield in_turns(*(partial(each.cpu, f"fan {size.seconds} 1") for each in sides))


def _fresh(figure: Callable[[Side, Size, bool], Figure]) -> Open:
    """Return what measures with new processes each time."""

    def one(size: Size, is_bare: bool) -> Figure:
        server: AbstractContextManager[Server] = bare("echo") if is_bare else fastbook()
        with ExitStack() as stack:
            return figure(side(stack, server), size, is_bare)

    @contextmanager
    def opened(size: Size) -> Iterator[Measure]:
        yield in_turns(partial(one, size, False), partial(one, size, True))

    return opened


def _memory(each: Side, size: Size, is_bare: bool) -> Figure:
    count = size.of(SESSIONS)
    each.connect(size.of(100), READERS, bare=is_bare)
    before = each.server.rss_bytes
    each.connect(count, READERS, bare=is_bare)
    return Figure(max(1, each.server.rss_bytes - before) / count / 1024)


def _handshakes(each: Side, size: Size, is_bare: bool) -> Figure:
    count = size.of(SESSIONS)
    each.connect(4, READERS, bare=is_bare)
    before = each.server.cpu_s
    answer = each.connect(count, READERS, bare=is_bare)
    spent_us = (each.server.cpu_s - before) / count * 1e6
    return Figure(spent_us, spent_us, answer.busy)


memory = _fresh(_memory)
handshakes = _fresh(_handshakes)
