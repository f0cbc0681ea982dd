"""The simulated market on an exchange in this process: what must hold, whatever the seed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

import fastbook
from fastbook_cli.sim.agents import Maker
from fastbook_cli.sim.headless import DEFAULT, Headless
from fastbook_cli.sim.settings import SimSettings
from fastbook_server.values.events import CommandRefused, ExchangeEvent
from fastbook_server.values.instruments import InstrumentSpec

SECURITY = DEFAULT[0].security
WARM_UP_S = 5
MINUTES = 10
OPEN_MAX = 40
"""Of one agent: what a noise trader may have; a maker has two sides of eight levels."""


class Watched:
    """A market whose invariants are looked at after every command."""

    def __init__(self, settings: SimSettings, *, start: int = 10_000) -> None:
        self.market = Headless(settings, start=start, watch=self.look)
        self.book = self.market.exchange.markets[SECURITY].book
        self.scene = self.market.scenes[SECURITY]
        self.bests: list[tuple[int, int]] = []
        self.events: list[ExchangeEvent] = []
        self.refused: list[ExchangeEvent] = []
        self.warm = False

    def look(self, _security: str, events: Sequence[ExchangeEvent]) -> None:
        self.events += events
        self.refused += [e for e in events if isinstance(e, CommandRefused)]
        if self.warm:
            bid, ask = self.book.best_bid, self.book.best_ask
            assert bid is not None
            assert ask is not None
            self.bests.append((bid[0], ask[0]))

    def run(self, minutes: float) -> None:
        self.market.run(WARM_UP_S)
        self.warm = True
        for second in range(WARM_UP_S, int(minutes * 60)):
            self.market.run(second)
            for agent in self.scene.agents:
                assert len(agent.orders) <= OPEN_MAX
                # A maker's eight levels may all be filled after it was full; nobody has more out.
                assert abs(agent.inventory) <= 2 * agent.inventory_max


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_no_side_is_ever_empty_and_nothing_runs_away(seed: int) -> None:
    watched = Watched(SimSettings(seed=seed))
    watched.run(MINUTES)
    prices = [price for best in watched.bests for price in best]
    assert min(prices) > 10_000 / 1.1
    assert max(prices) < 10_000 * 1.1
    assert len(set(prices)) > 10
    watched.book.check_invariants()


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ({"volatility": 100.0}, 10_000),
        ({"volatility": 0.1}, 10_000),
        ({"rate": 2.0}, 10_000),
        ({"rate": 400.0, "volatility": 30.0}, 10_000),
        ({"makers": 1, "noise": 0, "trend": 0, "large": 0}, 10_000),
        ({"makers": 1, "noise": 30, "trend": 5, "large": 5}, 10_000),
        ({}, 3),
        ({}, 10**9),
    ],
    ids=str,
)
def test_nor_with_extreme_settings_or_prices(options: dict[str, float], start: int) -> None:
    watched = Watched(SimSettings(**options), start=start)  # type: ignore[arg-type]
    watched.run(4)
    assert watched.bests
    assert max(ask for _, ask in watched.bests) < 3.5 * start + 50


def test_agents_know_the_rules_and_their_own_orders() -> None:
    """Nothing they send is refused, and what they believe to have open is what they have open."""
    watched = Watched(SimSettings(seed=7))
    watched.run(5)
    assert watched.refused == []
    believed = {
        (order_id, order.quantity)
        for agent in watched.scene.agents
        for order_id, order in agent.orders.items()
    }
    market = watched.market.exchange.markets[SECURITY]
    assert believed == {(state.order.id, state.remaining) for state in market.open.values()}


def test_what_one_has_bought_another_has_sold() -> None:
    watched = Watched(SimSettings(seed=8))
    watched.run(5)
    assert sum(agent.inventory for agent in watched.scene.agents) == 0
    assert any(agent.inventory for agent in watched.scene.agents)


def test_the_same_seed_gives_the_same_events_and_another_one_others() -> None:
    def events(seed: int) -> list[ExchangeEvent]:
        watched = Watched(SimSettings(seed=seed))
        watched.run(1)
        return watched.events

    first = events(11)
    assert first == events(11)
    assert first != events(12)


def test_the_rate_is_what_was_asked_for_on_average() -> None:
    for rate in (20.0, 200.0):
        watched = Watched(SimSettings(rate=rate, seed=5))
        watched.run(10)
        assert rate / 3 < watched.market.commands / 600 < rate * 3


def test_each_security_is_a_market_of_its_own_and_they_share_the_rate() -> None:
    specs = [InstrumentSpec.parse(f"{name}:0.01:0.001") for name in ("A", "B")]
    counts = dict.fromkeys("AB", 0)

    def count(security: str, _events: Sequence[ExchangeEvent]) -> None:
        counts[security] += 1

    market = Headless(SimSettings(seed=1), specs, watch=count)
    market.run(300)
    assert 60 * 300 / 3 < market.commands < 60 * 300 * 3
    assert min(counts.values()) > market.commands / 5
    bids = [market.exchange.markets[s].book.best_bid for s in counts]
    assert bids[0] != bids[1]


def test_when_somebody_empties_a_side_the_makers_fill_it_again() -> None:
    watched = Watched(SimSettings(seed=2))
    watched.run(0.5)
    watched.warm = False
    book = watched.book
    everything = sum(quantity for _, quantity in book.depth(0)[1])
    market = watched.market.exchange.markets[SECURITY]
    market.book.market(10**9, fastbook.Side.BID, everything)  # behind the agents' backs
    assert book.best_ask is None
    for agent in watched.scene.agents:
        gone = [i for i, o in agent.orders.items() if o.side == "ask"]
        for order_id in gone:
            del agent.orders[order_id]
    watched.market.run(40)
    assert book.best_ask is not None
    assert len(book.depth(0)[1]) >= len(Maker.SIZES)
