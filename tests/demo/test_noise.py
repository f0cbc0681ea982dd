"""The traders' decisions, on a book without a server."""

from __future__ import annotations

from random import Random

import pytest

import fastbook
from fastbook_server.demo.noise import Cancel, Crowd, Intent, Limit, Market, Resting

SIDES = {"bid": fastbook.Side.BID, "ask": fastbook.Side.ASK}
TYPICAL = 5_000


class Simulation:
    """A crowd that trades on a bare order book."""

    def __init__(self, seed: int, traders: int, start: int = 10_000) -> None:
        self.crowd = Crowd(Random(seed), traders, start, TYPICAL)
        self.random = Random(f"{seed}/schedule")
        self.book = fastbook.OrderBook()
        self.orders: list[dict[str, Resting]] = [{} for _ in range(traders)]
        self.owners: dict[int, int] = {}
        self.intents: list[Intent] = []
        self.bought = self.sold = 0
        self._id = 0

    def open(self) -> None:
        for trader in range(len(self.orders)):
            for limit in self.crowd.opening():
                self.do(trader, limit)

    def step(self) -> None:
        trader = self.random.randrange(len(self.orders))
        self.do(trader, self.crowd.decide(trader, self.orders))

    def do(self, trader: int, intent: Intent) -> None:
        self.intents.append(intent)
        self._id += 1
        match intent:
            case Cancel(order_id):
                del self.orders[trader][order_id]
                self.book.cancel(int(order_id))
                return
            case Limit(side, price, quantity):
                events = self.book.add(self._id, SIDES[side], price, quantity)
            case Market(side, quantity):
                events = self.book.market(self._id, SIDES[side], quantity)
        for event in events:
            if event.kind == fastbook.EVENT_FILL:
                self._fill(event)
            elif event.kind == fastbook.EVENT_REST:
                self.owners[self._id] = trader
                self.orders[trader][str(self._id)] = Resting(side, event.price, event.remaining)
        if any(event.kind == fastbook.EVENT_FILL for event in events):
            self.bought += side == "bid"
            self.sold += side == "ask"

    def _fill(self, event: fastbook.Event) -> None:
        own = self.orders[self.owners[event.maker_order_id]]
        key = str(event.maker_order_id)
        own[key] = own[key]._replace(quantity=event.maker_remaining)
        if not event.maker_remaining:
            del own[key]
        self.crowd.see_trade(event.price)


def test_same_seed_and_sights_give_the_same_decisions() -> None:
    first, again, other = (Simulation(seed, traders=4) for seed in (7, 7, 8))
    for simulation in (first, again, other):
        simulation.open()
        for _ in range(2_000):
            simulation.step()
    assert first.intents == again.intents
    assert first.intents != other.intents


def test_first_orders_do_not_cross() -> None:
    simulation = Simulation(1, traders=3)
    simulation.open()
    assert simulation.bought == simulation.sold == 0
    assert len(simulation.book) == len(simulation.intents)


@pytest.mark.parametrize("traders", [2, 8, 50])
def test_market_moves_and_neither_side_is_ever_empty(traders: int) -> None:
    simulation = Simulation(1, traders)
    simulation.open()
    prices = set()
    for _ in range(10_000):
        simulation.step()
        bids, asks = simulation.book.depth(1)
        assert bids
        assert asks
        prices.add(bids[0][0])
    simulation.book.check_invariants()
    assert min(simulation.bought, simulation.sold) > 300
    assert len(prices) > 10
    kinds = {type(intent) for intent in simulation.intents}
    assert kinds == {Limit, Market, Cancel}


@pytest.mark.parametrize("traders", [2, 8, 50])
def test_open_orders_stay_bounded(traders: int) -> None:
    simulation = Simulation(3, traders)
    simulation.open()
    for _ in range(10_000):
        simulation.step()
        assert max(map(len, simulation.orders)) <= simulation.crowd.open_max


def test_prices_stay_positive_in_a_market_of_pennies() -> None:
    simulation = Simulation(1, traders=2, start=1)
    simulation.open()
    for _ in range(5_000):
        simulation.step()
    assert min(i.price for i in simulation.intents if isinstance(i, Limit)) >= 1


def test_whoever_has_no_room_withdraws_instead_of_insisting() -> None:
    simulation = Simulation(1, traders=2)
    simulation.open()
    room = len(simulation.orders[0])
    for _ in range(50):
        decided = simulation.crowd.decide(0, simulation.orders, room)
        assert not isinstance(decided, Limit)


def test_trades_of_others_pull_the_believed_price() -> None:
    crowd = Crowd(Random(1), 2, 10_000, TYPICAL)
    for _ in range(200):
        crowd.see_trade(12_000)
    assert crowd.price == pytest.approx(12_000, abs=10)
