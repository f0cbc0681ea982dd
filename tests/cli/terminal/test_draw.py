"""What a terminal shows of a market, from events alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pytest
from rich.console import Console

from fastbook_cli.demo.views import foot
from fastbook_cli.terminal import draw
from fastbook_cli.terminal.watch import RATE_WINDOW_S, MarketWatch, decimals
from fastbook_wire.frames import (
    AggOrderBook,
    BookRows,
    Fills,
    FillView,
    InstrumentView,
    LevelView,
    Trades,
    TradeView,
    Welcome,
)
from fastbook_wire.words import SideName

WELCOME = Welcome(
    user_id="user#me",
    resume_token="",
    security="BTC-USD",
    instruments=(InstrumentView("BTC-USD", 0.01, 0.0001, "open"),),
    throttle_ms=100,
    protocol=1,
    epoch=1,
    time=0,
)


def row(price: float, amount: float) -> LevelView:
    return LevelView(price, amount, price * amount)


def trade(seq: int, side: SideName = "bid", price: float = 100.5) -> TradeView:
    return TradeView("", seq, "user#x", "BTC-USD", side, 1_767_225_600_000, price, 0.25, 0.0)


def book(
    seq: int, bids: Sequence[LevelView], asks: Sequence[LevelView], security: str = "BTC-USD"
) -> AggOrderBook:
    rows = BookRows(tuple(asks), tuple(bids))
    return AggOrderBook(security=security, seq=seq, time=0, agg_order_book=rows)


def fills(*rows: FillView) -> Fills:
    return Fills(security="BTC-USD", fills=rows)


def fill(number: int, side: SideName = "bid", price: float = 100.5) -> FillView:
    return FillView(
        fill_id=number, seq=number, time=1_767_225_600_000, type=side, price=price, amount=0.25
    )


def trades(*rows: TradeView) -> Trades:
    return Trades(security="BTC-USD", seq=0, prev_seq=None, trades=rows)


@pytest.fixture
def watch() -> MarketWatch:
    watch = MarketWatch("http://127.0.0.1:8080", "BTC-USD", WELCOME)
    levels = [0.01 * n for n in range(1, 40)]
    bids = [row(100.5 - d, 1 + d) for d in levels]
    asks = [row(100.5 + d, 1 + d) for d in levels]
    watch.take(book(40, bids, asks), 0.0)
    watch.take(trades(trade(38), trade(39, "ask", 100.4933)), 0.0)
    watch.take(fills(fill(6), fill(7, "ask", 100.49)), 0.0)
    return watch


def drawn(
    watch: MarketWatch, columns: int, rows: int, notes: Sequence[str] = (), **options: Any
) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=columns, height=rows, force_terminal=True, color_system=None)
    below = foot(watch, notes, "fastbook")
    console.print(draw.screen(watch, 1.0, (columns, rows), below, **options), end="")
    return out.getvalue().splitlines()


@pytest.mark.parametrize(("columns", "rows"), [(64, 14), (80, 24), (100, 31), (220, 60)])
def test_screen_fits_the_terminal_and_shows_both_sides(
    watch: MarketWatch, columns: int, rows: int
) -> None:
    lines = drawn(watch, columns, rows)
    assert len(lines) == rows
    assert max(map(len, lines)) <= columns
    text = "\n".join(lines)
    assert "http://127.0.0.1:8080" in lines[0]
    for part in ("100.51", "100.49", "0.02", "2.0 bp", "▼", "▲", "fastbook connect ws://127"):
        assert part in text


@pytest.mark.parametrize("columns", [64, 80, 100])
def test_figures_are_whole_or_left_out(watch: MarketWatch, columns: int) -> None:
    watch.answered(12.345)
    figures = drawn(watch, columns, 24)[-3]
    assert "round trip 12.3 ms, p99 12.3" in figures
    assert "orders/s" in figures
    assert ("bought" in figures) == (columns == 100)


def test_without_lines_below_the_figures_are_the_last_row(watch: MarketWatch) -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, height=28, color_system=None)
    console.print(draw.screen(watch, 1.0, (80, 28)), height=28)
    lines = out.getvalue().splitlines()
    assert len(lines) == 28
    assert "seq 40" in lines[-1]


def test_best_prices_enclose_the_spread(watch: MarketWatch) -> None:
    lines = drawn(watch, 80, 24)
    middle = next(n for n, line in enumerate(lines) if "spread" in line)
    assert "100.51" in lines[middle - 1]
    assert "100.49" in lines[middle + 1]


def test_the_spread_is_an_exact_number_of_ticks(watch: MarketWatch) -> None:
    watch.take(book(41, [row(100.17, 1)], [row(100.2, 1)]), 0.0)
    assert watch.spread == 0.03 != 100.2 - 100.17


def test_screen_without_unicode_draws_no_blocks(watch: MarketWatch) -> None:
    text = "\n".join(drawn(watch, 80, 24, unicode=False))
    assert "#" in text
    assert not set("█▌▲▼") & set(text)


def test_last_note_takes_the_last_row(watch: MarketWatch) -> None:
    assert "the database is away" in drawn(watch, 80, 24, notes=["old", "the database is away"])[-1]


def test_an_empty_market_can_be_drawn() -> None:
    watch = MarketWatch("http://[::1]:80", "BTC-USD", WELCOME)
    assert any("one side is empty" in line for line in drawn(watch, 80, 24))
    assert "bid -  ask -" in draw.line(watch, 0.0)


def test_plain_line(watch: MarketWatch) -> None:
    assert draw.line(watch, 1.0) == (
        "BTC-USD  seq 40  bid 1.0100 @ 100.49  ask 1.0100 @ 100.51  "
        "last sold 0.2500 @ 100.49  0 orders/s, 0.0 trades/s"
    )


def test_only_live_trades_are_counted_and_none_twice(watch: MarketWatch) -> None:
    watch.take(trades(trade(41), trade(42, "ask")), 1.0)
    watch.take(trades(trade(42, "ask"), trade(44)), 2.0)  # the opening pair of a new connection
    assert [t.seq for t in watch.trades] == [38, 39, 41, 42, 44]
    assert (watch.trades_seen, watch.bought_seen) == (3, 2)


def test_the_last_price_is_that_of_the_newest_fill_and_none_comes_twice(
    watch: MarketWatch,
) -> None:
    watch.take(trades(trade(41, "ask", 100.4867)), 1.0)
    watch.take(fills(fill(7, "ask", 100.49), fill(8, "ask", 100.48)), 1.0)  # a new opening frame
    assert watch.last == 100.48
    assert [f.fill_id for f in watch.fills] == [6, 7, 8]


def test_rates_are_those_of_the_last_seconds(watch: MarketWatch) -> None:
    for second in range(1, 20):
        watch.take(book(40 + 60 * second, [], []), float(second))
        watch.take(trades(trade(40 + 60 * second)), float(second))
    commands, made = watch.rates(19.0)
    assert commands == pytest.approx(60, rel=0.01)
    assert made == pytest.approx(1, abs=0.21)  # the window's first second may count whole
    assert watch.rates(19.0 + 2 * RATE_WINDOW_S) == (0.0, 0.0)


def test_frames_of_other_securities_are_not_shown(watch: MarketWatch) -> None:
    watch.take(book(99, [], [], "ETH-USD"), 1.0)
    assert watch.seq == 40


@pytest.mark.parametrize(
    ("step", "expected"), [(0.01, 2), (5.0, 0), (0.25, 2), (1e-8, 8), (1e3, 0)]
)
def test_decimals_of_a_step(step: float, expected: int) -> None:
    assert decimals(step) == expected
