"""How a market is divided: who has which security, and what a division is called."""

from __future__ import annotations

from fastbook_server.values.shards import MAIN, Shard, Shards

TWO = Shards([Shard("a", ("BTC-USD", "ETH-USD")), Shard("b", ("SOL-USD",))])


def test_a_security_is_in_one_shard_and_an_unknown_one_is_for_the_first():
    assert [TWO.of(each) for each in ("BTC-USD", "ETH-USD", "SOL-USD")] == ["a", "a", "b"]
    assert [TWO.of(each) for each in ("DOGE-USD", None)] == ["a", "a"]
    assert ("SOL-USD" in TWO, "DOGE-USD" in TWO) == (True, False)
    assert [TWO.securities(name) for name in TWO.names] == [("BTC-USD", "ETH-USD"), ("SOL-USD",)]
    assert (TWO.first, len(TWO), [part.name for part in TWO]) == ("a", 2, ["a", "b"])


def test_securities_are_dealt_in_turn_and_one_more_moves_no_other():
    assert str(Shards.dealt(["A", "B", "C"], 2)) == "1=A,C 2=B"
    assert str(Shards.dealt(["A", "B", "C", "D"], 2)) == "1=A,C 2=B,D"
    assert Shards.dealt(["A"], 1) == Shards([Shard("1", ("A",))]) != TWO


def test_an_undivided_market_needs_no_label():
    whole = Shards.undivided(["A", "B"])
    assert (whole.names, whole.label(MAIN), TWO.label("a")) == ((MAIN,), "", "a")
