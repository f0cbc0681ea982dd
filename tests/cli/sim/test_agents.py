"""Each kind of agent by itself: what it sees, what it wants."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from fastbook_cli.sim.agents import Agent, Large, Maker, Noise, Trend
from fastbook_cli.sim.words import AgentReport, Cancel, Intent, Limit, Look, VisibleMarket
from fastbook_wire.words import SideName

TYPICAL = 1_000


class Rows:
    """A book that is given."""

    def __init__(self, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> None:
        self.sides = {"bid": bids, "ask": asks}

    def best(self) -> tuple[int | None, int | None]:
        bid, ask = self.sides["bid"], self.sides["ask"]
        return (bid[0][0] if bid else None), (ask[0][0] if ask else None)

    def depth(self, side: SideName, count: int) -> Sequence[tuple[int, int]]:
        return self.sides[side][:count]


ORDINARY = Rows([(9_999 - i, 5_000) for i in range(10)], [(10_001 + i, 5_000) for i in range(10)])


def look(value: float = 10_000.0, book: Rows = ORDINARY, now_s: float = 0.0) -> Look:
    bid, ask = book.best()
    return Look(now_s, value, 1.0, bid or 9_999, ask or 10_001, book)


def agent(kind: type[Agent], seed: int = 1) -> Agent:
    return kind(Random(seed), TYPICAL, 30 * TYPICAL)


def rest(who: Agent, intents: list[Intent]) -> None:
    """Let an agent's orders do what they want, and meet nobody."""
    for intent in intents:
        if isinstance(intent, Limit) and not intent.ioc:
            name = f"o{len(who.orders)}-{intent.price}-{who.random.random()}"
            report = AgentReport(
                name, intent.side, intent.price, intent.quantity, True, 0, intent.slot
            )
            who.hear(report)
        elif isinstance(intent, Cancel):
            old = who.orders[intent.order_id]
            who.hear(AgentReport(intent.order_id, old.side, old.price, old.quantity, rests=False))


def limits(intents: list[Intent], side: SideName) -> list[Limit]:
    return [i for i in intents if isinstance(i, Limit) and i.side == side]


def test_a_maker_quotes_levels_that_thicken_with_the_distance() -> None:
    intents = agent(Maker).act(look())
    for side, sign in (("bid", -1), ("ask", 1)):
        quotes = limits(intents, side)  # type: ignore[arg-type]
        distances = [sign * (q.price - 10_000) for q in quotes]
        assert distances == sorted(set(distances))
        assert distances[0] >= 1
        assert sum(q.quantity for q in quotes[4:]) > 2 * sum(q.quantity for q in quotes[:4])


def test_a_maker_that_is_where_it_should_be_does_little() -> None:
    maker = agent(Maker)
    first = maker.act(look())
    rest(maker, first)
    assert len(maker.act(look())) < len(first) / 2


@pytest.mark.parametrize(("value", "away"), [(10_030.0, "ask"), (9_970.0, "bid")])
def test_a_maker_moves_new_before_old_and_the_far_side_first(value: float, away: SideName) -> None:
    """So it never meets itself, and no side of it is ever bare."""
    maker = agent(Maker)
    rest(maker, maker.act(look()))
    sides: list[SideName] = []
    held = dict(maker.orders)
    for intent in maker.act(look(value)):
        if isinstance(intent, Limit) and not intent.ioc:
            others = [o.price for o in held.values() if o.side != intent.side]
            if intent.side == "bid":
                assert intent.price < min(others)
            else:
                assert intent.price > max(others)
            sides.append(intent.side)
        rest(maker, [intent])
        held = dict(maker.orders)
        assert {o.side for o in held.values()} == {"bid", "ask"}
    assert sides[0] == away


def test_a_maker_takes_what_is_offered_at_an_old_price() -> None:
    taken = [i for i in agent(Maker).act(look(10_005.0)) if isinstance(i, Limit) and i.ioc]
    assert [i.side for i in taken] == ["bid"]
    assert 10_001 <= taken[0].price <= 10_006
    assert taken[0].quantity <= 5 * TYPICAL


def test_a_maker_leans_against_its_inventory() -> None:
    def middle(inventory: int) -> float:
        maker = agent(Maker)
        maker.inventory = inventory
        intents = maker.act(look())
        quotes = [i for i in intents if isinstance(i, Limit) and not i.ioc]
        best_bid = max(q.price for q in quotes if q.side == "bid")
        return (best_bid + min(q.price for q in quotes if q.side == "ask")) / 2

    assert middle(30 * TYPICAL) < middle(0) < middle(-30 * TYPICAL)


def test_a_maker_widens_when_the_value_moves_much() -> None:
    def width(step: float) -> int:
        maker = agent(Maker)
        for i in range(40):
            intents = maker.act(look(10_000.0 + step * (i % 2)))
        bids, asks = limits(intents, "bid"), limits(intents, "ask")
        return min(a.price for a in asks if not a.ioc) - max(b.price for b in bids if not b.ioc)

    assert width(20.0) > width(0.0)


def test_a_maker_cancels_what_it_does_not_know() -> None:
    """After a lost connection it is told of its orders, not which level each was."""
    maker = agent(Maker)
    maker.hear(AgentReport("stray", "bid", 9_000, 5, rests=True))
    assert maker.act(look())[0] == Cancel("stray")


@pytest.mark.parametrize("kind", [Maker, Noise, Trend, Large])
def test_nobody_takes_more_than_a_share_of_what_is_there(kind: type[Agent]) -> None:
    who = agent(kind)
    thin = Rows([(9_990, 10)], [(10_010, 10)])
    for step in range(3_000):
        intents = who.act(look(10_000.0, thin, now_s=float(step)))
        for intent in intents:
            if isinstance(intent, VisibleMarket) or (isinstance(intent, Limit) and intent.ioc):
                assert intent.quantity <= 3
        if isinstance(who, Noise):
            rest(who, intents)
            assert len(who.orders) <= Noise.OPEN_MAX


def test_noise_traders_turn_round_when_they_have_much() -> None:
    noise = agent(Noise)
    noise.inventory = noise.inventory_max
    assert {noise.choose_side() for _ in range(100)} == {"ask"}


@pytest.mark.parametrize(("step", "side"), [(0.5, "bid"), (-0.5, "ask")])
def test_trend_followers_follow(step: float, side: SideName) -> None:
    trend = agent(Trend)
    wanted: set[SideName] = set()
    for second in range(300):
        level = 10_000 + round(step * second)
        book = Rows([(level - 1, 50_000)], [(level + 1, 50_000)])
        for intent in trend.act(look(0.0, book, now_s=float(second))):
            assert isinstance(intent, VisibleMarket)
            wanted.add(intent.side)
            trend.hear(AgentReport("x", intent.side, 0, 0, False, intent.quantity))
    assert wanted == {side}
    assert abs(trend.inventory) <= trend.inventory_max


def test_a_large_order_is_worked_in_slices_or_swept() -> None:
    large = agent(Large)
    sweeps, slices = 0, 0
    for second in range(50_000):
        for intent in large.act(look(now_s=float(second))):
            sweeps += isinstance(intent, Limit)
            slices += isinstance(intent, VisibleMarket)
    assert sweeps > 2
    assert slices > 5 * sweeps


def test_inventories_count_fills_of_both_kinds() -> None:
    who = agent(Noise)
    who.hear(AgentReport("a", "bid", 100, 7, True, 3))  # came, filled 3, rests with 7
    who.hear(AgentReport("a", "bid", 100, 2, True, 5))
    who.hear(AgentReport("a", "bid", 100, 0, False, 2))
    who.hear(AgentReport("b", "ask", 0, 0, False, 4))
    assert (who.inventory, who.orders) == (6, {})
