"""Writes Nasdaq ITCH 5.0, from a random market: small files, and a day of many stocks."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import pack

from replay_market import Event, market

SIDE = {"bid": b"B", "ask": b"S"}


def head(kind: str, locate: int, time_ns: int) -> bytes:
    return pack(">cHH", kind.encode(), locate, 0) + time_ns.to_bytes(6)


def directory(locate: int, stock: str) -> bytes:
    return (
        head("R", locate, 0)
        + stock.ljust(8).encode()
        + b"NN"
        + pack(">I", 100)
        + b"NCZ PNN1N\0\0\0\0N"[:16]
    )


def itch(events: Iterable[Event], locate: int, stock: str) -> list[bytes]:
    """Return the messages of these events; a tick is a cent."""
    messages = []
    name = stock.ljust(8).encode()
    for n, event in enumerate(events):

        def say(kind: str, form: str, *fields: object, at: Event = event) -> None:
            messages.append(head(kind, locate, at.time_ns) + pack(">" + form, *fields))

        for fill in event.fills:
            if n % 3:
                say("E", "QIQ", fill.maker, fill.lots, n)
            else:
                say("C", "QIQcI", fill.maker, fill.lots, n, b"Y", fill.price * 100)
        if event.left:
            form = "QcI8sI" + "4s" * (n % 2)
            fields = (event.order_id, SIDE[event.side], event.left, name, event.price * 100)
            say("AF"[n % 2], form, *fields, *(b"NSDQ",) * (n % 2))
        if event.kind == "reduce":
            say("X", "QI", event.order_id, event.lots)
        if event.kind == "cancel":
            say("D", "Q", event.order_id)
        if event.kind == "replace":
            say("U", "QQII", event.order_id, event.new_id, event.lots, event.price * 100)
    return messages


def framed(messages: Iterable[bytes]) -> bytes:
    return b"".join(pack(">H", len(m)) + m for m in messages)


def long_day(megabytes: int, seed: int = 1, *, wanted: int = 60_000) -> Iterator[bytes]:
    """Yield a framed day of this size: the stock BUSY, with so many events, among 8,000 others.

    The others' messages are some thousands, which come again and again in ever other portions:
    readers of one stock pass over them. Those of BUSY are a market's, in even intervals.
    """
    rng = random.Random(seed)
    others = [framed(day) for day in _others(rng)]
    busy = itch(market(wanted, seed), 9_000, "BUSY")
    yield framed([head("S", 0, 1) + b"O", directory(9_000, "BUSY")])
    yield framed(directory(locate, f"S{locate}") for locate in range(1, 8_001))
    between = max(1, megabytes * 1_000_000 // len(busy))
    for message in busy:
        start = rng.randrange(len(others))
        size, portion = 0, []
        while size < between:
            portion.append(others[start % len(others)])
            size += len(portion[-1])
            start += 1
        portion.append(framed([message]))
        yield b"".join(portion)
    yield framed([head("S", 0, 86_400 * 10**9) + b"C"])


def _others(rng: random.Random) -> Iterator[list[bytes]]:
    """Yield portions of two messages or so, each of another stock."""
    for locate in range(1, 8_001):
        seed = rng.randrange(1 << 30)
        yield itch(market(2, seed), locate, f"S{locate}")


if __name__ == "__main__":
    with Path(sys.argv[1]).open("wb") as out:
        out.writelines(long_day(int(sys.argv[2])))
