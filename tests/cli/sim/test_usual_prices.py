"""What a security of a well-known name costs, and how a simulated market of it opens."""

from __future__ import annotations

import pytest

from fastbook_cli.sim.opening import START_TICKS, Beginning, opening
from fastbook_cli.sim.usual_prices import usual_amount, usual_price, usual_ticks
from fastbook_wire.grid import Grid


def of(security: str, tick: str, lot: str, last: int | None = None) -> Beginning:
    return opening(security, Grid.parse(tick), Grid.parse(lot), last)


@pytest.mark.parametrize(
    ("security", "least", "most"),
    [
        ("BTC-USD", 50_000, 200_000),
        ("btc-usd", 50_000, 200_000),
        ("XBT/USDT", 50_000, 200_000),
        ("BTCUSDT", 50_000, 200_000),
        ("BTC-USD-PERP", 50_000, 200_000),
        ("BTC-EUR", 45_000, 180_000),
        ("ETH-USD", 1_000, 10_000),
        ("ETH-BTC", 0.01, 0.1),
        ("DOGE_USDT", 0.05, 1),
        ("EURUSD", 0.9, 1.4),
        ("USD/JPY", 100, 200),
        ("AAPL", 100, 500),
        ("XAU-USD", 1_500, 8_000),
    ],
)
def test_a_name_that_people_know_has_the_price_that_they_expect(security, least, most) -> None:
    price = usual_price(security)
    assert price is not None
    assert least < price < most


@pytest.mark.parametrize("security", ["WILL-IT-RAIN", "COIN", "X", "-", "BIG-USD", "A/B", "USDX"])
def test_a_name_that_says_nothing_has_none(security) -> None:
    assert (usual_price(security), usual_amount(security)) == (None, None)
    assert of(security, "0.01", "0.0001") == (START_TICKS, 5_000)


def test_a_tick_that_does_not_suit_the_price_leaves_it_out() -> None:
    assert usual_ticks("BTC-USD", Grid.parse("0.01")) == 10_000_000
    assert usual_ticks("BTC-USD", Grid.parse("10000")) is None
    assert usual_ticks("BTC-USD", Grid.parse("1e-8")) is None


def test_a_typical_order_is_worth_the_same_in_every_security() -> None:
    assert of("BTC-USD", "0.01", "0.0001").typical == 5_000
    assert of("ETH-EUR", "0.01", "0.001").typical == pytest.approx(50_000 / 3_500 * 1_000, abs=1)
    assert of("BTC-USD", "0.01", "1").typical == 10
    assert of("SHIB-USD", "1e-9", "1e-8").typical == 10**10


def test_a_price_that_is_known_comes_before_the_usual_one() -> None:
    assert of("BTC-USD", "0.01", "0.0001", last=7).start == 7
