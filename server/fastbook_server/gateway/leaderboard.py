"""The leaderboard: users by profit in each currency, from the fills of committed batches.

Only a server that was asked to keeps one. A batch costs it a look at each of its public events, a
command nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from fastbook_server.channels.trade_channel import CommittedBatch, portions
from fastbook_server.values.events import OrderEvent, OrderFilled
from fastbook_server.values.holdings import Holding
from fastbook_server.values.instruments import Instrument
from fastbook_wire.answers import LeaderView

LOTS, CASH, FILLS = range(3)


class Leaderboard:
    """Every user's profit: what sales brought less what purchases cost, and what is held.

    What is held counts at the security's last price. `holdings` are those of all fills so far.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        holdings: Iterable[Holding],
        last_prices: Mapping[str, int],
    ) -> None:
        self._instruments = {i.security: i for i in instruments}
        self.currencies = tuple(dict.fromkeys(i.quote_currency for i in instruments))
        self._last = dict(last_prices)
        self._held: dict[str, dict[str, list[int]]] = {}  # by user, then by security
        for held in holdings:
            of_user = self._held.setdefault(held.user_id, {})
            of_user[held.security] = [held.lots, held.cash, held.fills]

    def on_batch(self, batch: CommittedBatch) -> None:
        """Count the fills of a batch."""
        self._follow(batch.orders)

    def on_large_batch(self, batch: CommittedBatch) -> Iterator[None]:
        """Do the same in steps."""
        for orders in portions(batch.orders):
            self._follow(orders)
            yield

    def _follow(self, orders: Iterable[OrderEvent]) -> None:
        for event in orders:
            if isinstance(event, OrderFilled):
                taker = event.taker
                sign = 1 if taker.side == "bid" else -1
                security = taker.instrument.security
                lots, cash = sign * event.quantity, -sign * event.quantity * event.price
                self._count(taker.user_id, security, lots, cash)
                self._count(event.maker.user_id, security, -lots, -cash)
                self._last[security] = event.price

    def _count(self, user_id: str, security: str, lots: int, cash: int) -> None:
        held = self._held.setdefault(user_id, {}).setdefault(security, [0, 0, 0])
        held[LOTS] += lots
        held[CASH] += cash
        held[FILLS] += 1

    def leaders(self, currency: str, limit: int) -> tuple[LeaderView, ...]:
        """Return the `limit` users with the most profit in a currency. O(users log users).

        Only listed securities whose prices are in it count, and those who have traded one. Users
        with the same profit share a rank.
        """
        of_currency = [i for i in self._instruments.values() if i.quote_currency == currency]
        found = []
        for user_id, held in self._held.items():
            traded = [(i, held[i.security]) for i in of_currency if i.security in held]
            if traded:
                fills = sum(of_one[FILLS] for _, of_one in traded)
                found.append((-sum(self._profit(*each) for each in traded), user_id, fills))
        found.sort()
        leaders: list[LeaderView] = []
        for n, (loss, user_id, fills) in enumerate(found[:limit], start=1):
            same = bool(leaders) and leaders[-1].profit == 0.0 - loss
            rank = leaders[-1].rank if same else n
            leaders.append(LeaderView(rank=rank, user_id=user_id, profit=0.0 - loss, fills=fills))
        return tuple(leaders)

    def _profit(self, instrument: Instrument, held: Sequence[int]) -> float:
        worth = held[LOTS] * self._last.get(instrument.security, 0)
        return instrument.total(held[CASH] + worth)
