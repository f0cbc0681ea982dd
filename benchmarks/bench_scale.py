"""What one command of a cluster costs its log: bytes and CPU, by how many share a message.

    python -m benchmarks.bench_scale             20,000 commands
    python -m benchmarks.bench_scale 100000      so many

About half of the commands cancel an order; the others are limit orders near the middle,
some of which trade at once. Both sides are in this process: no network, no disk.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator

from benchmarks.tables import table
from fastbook_server.channels.messages import decode_batch, encode_batch
from fastbook_server.channels.trade_channel import CommittedBatch, committed
from fastbook_server.matching.exchange import Exchange
from fastbook_server.values.events import ExchangeEvent
from fastbook_server.values.instruments import Instrument
from fastbook_server.values.persisted import Recovered
from fastbook_wire.commands import Add, Delete, NewOrder
from fastbook_wire.grid import Grid

SIZES = (1, 16, 256)
"""Commands per message: few users, a busy second, a crowd."""
T0 = 1_767_225_600_000
TRADERS = 64
RESTING = 1_000
MARKET = Instrument(1, "BTC-USD", Grid.parse("0.01"), Grid.parse("0.0001"))


def caused(count: int) -> Iterator[list[ExchangeEvent]]:
    """Yield what each of so many commands causes."""
    draw = random.Random(15)
    exchange = Exchange(Recovered(1, 0, T0, b"", (MARKET,), {}, (), (), {}, {}, {}, {}))
    open_ids: list[tuple[str, str]] = []
    for n in range(count):
        user_id = f"user#{draw.randrange(TRADERS):013d}"
        command: Add | Delete
        if len(open_ids) > RESTING or (n % 2 and open_ids and n > 2 * RESTING):
            user_id, order_id = open_ids.pop(draw.randrange(len(open_ids)))
            command = Delete(id=order_id, ref=n)
        else:
            side, away = draw.choice((("bid", -1), ("ask", 1))), draw.randint(-4, 20)
            price = round(100_000 + side[1] * away / 100, 2)
            order = NewOrder(type=side[0], exec_type="limit", price=price, amount=0.5)
            command = Add(order=order, ref=n)
        events = exchange.apply(user_id, command, T0 + n)
        yield events
        open_ids += [(user_id, e.order.id) for e in events if type(e).__name__ == "OrderRested"]


def batches(events: list[list[ExchangeEvent]], size: int) -> Iterator[CommittedBatch]:
    """Yield messages of so many commands each."""
    for number, start in enumerate(range(0, len(events), size), start=1):
        of_batch = [event for each in events[start : start + size] for event in each]
        marks = {"settled_ms": T0, "stored_ms": T0}
        yield committed(of_batch, number=number, **marks, taken={"gateway": start}, held={})


def row(events: list[list[ExchangeEvent]], size: int) -> list[str]:
    """Return the row of a size: bytes, and µs to write and to read them, per command."""
    made = list(batches(events, size))
    began = time.process_time()
    written = [encode_batch(batch) for batch in made]
    encoded = time.process_time()
    for data in written:
        decode_batch(data, {MARKET.number: MARKET})
    decoded = time.process_time()
    spent = (f"{s / len(events) * 1e6:.1f}" for s in (encoded - began, decoded - encoded))
    return [f"{size}", f"{sum(map(len, written)) / len(events):.0f}", *spent]


def main() -> None:
    """Print the table."""
    events = list(caused(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000))
    fills = sum(type(e).__name__ == "OrderFilled" for each in events for e in each)
    print(f"{len(events):,} commands, {fills:,} fills")
    head = ["commands per message", "bytes per command", "µs to write", "µs to read"]
    print(table(head, [row(events, size) for size in SIZES]))


if __name__ == "__main__":
    main()
