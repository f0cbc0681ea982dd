"""All that a flow of commands causes, as text: to compare ways in which the same code can run.

python tests/support/all_ways.py SEED COMMANDS
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from every_kind import EveryKind
from trading import PRIVATE, T0, Floor, recovered

from fastbook_server.gateway import encode
from fastbook_server.gateway.market_views import MarketViews
from fastbook_server.matching.collected import Collected
from fastbook_server.store import rows
from fastbook_server.values.events import OrdersListed
from fastbook_server.values.persisted import Batch

BATCH = 50


def said_of(seed: int, commands: int) -> Iterator[str]:
    """Yield the events and frames of each command, then the rows and frames of each batch."""
    floor, flow, views = Floor(), EveryKind(seed), MarketViews(recovered())
    batch = Collected()
    for n in range(1, commands + 1):
        floor.now_ms = T0 + n // 5
        flow.now_ms = floor.now_ms
        events = floor.do(*flow.next())
        batch.add(events, floor.now_ms)
        yield repr(events)
        for event in events:
            if type(event) in PRIVATE and not isinstance(event, OrdersListed):
                yield encode.private(event).decode()  # type: ignore[arg-type]  # as asked
        if n % BATCH == 0:
            yield repr(rows.net(Batch(n // BATCH, floor.now_ms, tuple(batch.stored))))
            views.on_orders(batch.orders)
            yield repr(views.on_trades(batch.trades))
            yield repr([view.book_frame() for view in views.views.values()])
            batch = Collected()


if __name__ == "__main__":
    for line in said_of(int(sys.argv[1]), int(sys.argv[2])):
        print(line)
