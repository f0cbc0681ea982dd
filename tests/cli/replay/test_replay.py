"""A player against a server in memory: totals, lost lines, several clients, servers that refuse."""

from __future__ import annotations

import random

import pytest
from replay_fold import Fold
from replay_small_server import SECURITY, Line, small_server
from replay_synthetic import actions

from fastbook_cli.replay.order_outcomes import ReplayError
from fastbook_cli.replay.play import Player
from fastbook_cli.replay.report import ReplayReport
from fastbook_client.connection import dial


def totals(report: ReplayReport) -> tuple[object, ...]:
    return (
        report.orders,
        report.accepted,
        report.would_cross,
        report.refused,
        report.deletes,
        report.cancelled,
        report.gone,
        report.bought_lots,
        report.sold_lots,
        report.open_orders,
    )


def expected(fold: Fold) -> tuple[object, ...]:
    return (
        fold.accepted + fold.would_cross + fold.refused.total(),
        fold.accepted,
        fold.would_cross,
        dict(fold.refused),
        fold.cancelled + fold.gone,
        fold.cancelled,
        fold.gone,
        fold.traded_lots,
        fold.traded_lots,
        fold.open_orders,
    )


async def play(url: str, *, count: int = 6_000, seed: int = 1, **options: object) -> ReplayReport:
    async with Player(url, security=SECURITY, **options) as player:  # type: ignore[arg-type]
        await player.play(actions(count, seed))
        return player.report()


@pytest.mark.parametrize("window", [1, 7, 1_000])
async def test_the_report_says_what_the_reference_says(window: int) -> None:
    fold = Fold(actions(3_000, window))
    async with small_server() as url:
        report = await play(url, count=3_000, seed=window, window=window)
    assert totals(report) == expected(fold)
    assert report.fills_exact
    assert report.fills == len(fold.fills) > 100
    assert report.gone > 10
    assert report.commands <= report.orders + report.deletes
    assert 0 < report.percentile_ms(50) <= report.percentile_ms(99) <= report.percentile_ms(100)
    assert (report.reconnects, report.resent) == (0, 0)


async def test_a_recording_may_be_played_in_parts() -> None:
    recorded = actions(2_000, 2)
    async with small_server() as url, Player(url, security=SECURITY) as player:
        await player.play([])
        await player.play(recorded[:999])
        assert totals(player.report()) == expected(Fold(recorded[:999]))
        await player.play(recorded[999:])
        assert totals(player.report()) == expected(Fold(recorded))


@pytest.mark.parametrize("seed", range(6))
async def test_a_line_cut_anywhere_changes_nothing(seed: int) -> None:
    rng = random.Random(seed)
    said: list[str] = []
    async with small_server() as url:
        line = Line(url, [rng.randrange(500, 200_000) for _ in range(6)])
        async with line.open() as through:
            report = await play(through, seed=seed, window=50 << seed, notify=said.append)
    fold = Fold(actions(6_000, seed))
    assert totals(report) == expected(fold)
    assert report.fills <= len(fold.fills)
    assert report.fills_exact == (report.fills == len(fold.fills))
    assert line.cuts == 6
    assert 1 <= report.reconnects <= 6  # a cut before the welcome is one more attempt
    assert f"lost {report.reconnects} times" in report.text()
    assert "connected again; continuing" in said


@pytest.mark.parametrize("cuts", [[], [60_000, 90_000, 120_000]])
async def test_several_clients_cancel_their_own_orders_and_trade_with_each_other(
    cuts: list[int],
) -> None:
    async with small_server() as url:
        line = Line(url, cuts)
        async with line.open() as through:
            report = await play(through, count=3_000, clients=5, window=20)
    fold = Fold(actions(3_000, 1))
    placed = report.accepted + report.would_cross  # which of them depends on who came first
    assert (placed, report.refused) == (fold.accepted + fold.would_cross, dict(fold.refused))
    assert report.deletes == fold.cancelled + fold.gone
    assert report.bought_lots == report.sold_lots > 0
    filled = report.accepted - report.cancelled - report.open_orders
    assert 0 < filled <= 2 * len(fold.fills)
    if not line.cuts:
        assert report.fills_exact


async def test_other_codes_are_counted_and_others_trades_are_seen() -> None:
    async with (
        small_server(open_orders_max=20) as url,
        dial(url, security=SECURITY) as other,
    ):
        order = {"type": "ask", "execType": "limit", "price": 1.0, "amount": 0.5}
        await other.send({"op": "add", "order": order})
        report = await play(url, count=1_000)
    assert report.refused["too_many_orders"] > 0
    assert sum(report.refused.values()) + report.accepted == report.orders
    assert report.bought_lots == report.sold_lots + 50_000_000
    assert "others traded too" in report.text()
    assert not report.fills_exact


async def test_a_server_that_asks_for_patience_gets_it() -> None:
    fold = Fold(actions(700, 1))
    async with small_server(commands_per_second_max=200) as url:
        report = await play(url, count=700)
    placed = report.accepted + report.would_cross  # which of them depends on who came first
    assert (placed, report.refused) == (fold.accepted + fold.would_cross, dict(fold.refused))
    assert report.deletes == fold.cancelled + fold.gone
    assert report.bought_lots == report.sold_lots > 0
    assert report.fills_exact
    assert 0 < report.postponed < 5_000
    assert "postponed" in report.text()


async def test_nothing_there_to_connect_to() -> None:
    with pytest.raises(ReplayError, match=r"cannot connect to ws://127\.0\.0\.1:1/ws"):
        await play("ws://127.0.0.1:1/ws")


async def test_a_security_that_is_not_traded() -> None:
    async with small_server() as url:
        with pytest.raises(ReplayError, match="expected one of BTC-USD, got 'GAME'"):
            async with Player(url, security="GAME"):
                pass


async def test_a_server_that_does_not_know_us_any_more_ends_the_replay() -> None:
    async with small_server(resume_grace_s=0.0, on_close="cancel") as url:
        line = Line(url, [100_000])
        async with line.open() as through:
            with pytest.raises(ReplayError, match="no longer knows the replay's resume token"):
                await play(through)


async def test_somebody_else_with_our_token_ends_the_replay() -> None:
    async with small_server() as url, Player(url, security=SECURITY, speed=0.001) as player:
        token = player.resume_tokens[0]
        async with dial(url, security=SECURITY, resume=token):
            with pytest.raises(ReplayError, match="another client resumed the session"):
                await player.play(actions(100, 1))
