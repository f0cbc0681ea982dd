"""A recorded market in a test's hands: it moves with the clock, and feels what the bot does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROWS = """\
34200.000,1,1,10,1000000,1
34200.000,1,2,10,1010000,-1
34201.500,1,3,10,1005000,-1
34203.000,4,3,10,1005000,-1
34203.000,4,2,4,1010000,-1
34204.000,2,1,3,1000000,1
34205.000,3,2,6,1010000,-1
"""

instruments = pytest.mark.fastbook(instruments=["AAPL:0.01:1"])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "messages.csv"
    path.write_text(ROWS)
    return path


@instruments
def test_the_recorded_market_goes_on_as_the_clock_does(fastbook_server: Any, file: Path) -> None:
    replay = fastbook_server.replay(file)
    fastbook_server.assert_book(bids=[(100.0, 10.0)], asks=[(101.0, 10.0)])
    fastbook_server.clock.advance(1.4)
    fastbook_server.assert_book(bids=[(100.0, 10.0)], asks=[(101.0, 10.0)])
    fastbook_server.clock.advance(0.1)
    fastbook_server.assert_book(bids=[(100.0, 10.0)], asks=[(100.5, 10.0), (101.0, 10.0)])
    fastbook_server.clock.advance(60)
    fastbook_server.assert_book(bids=[(100.0, 7.0)], asks=[])
    assert (replay.is_over, replay.played) == (True, 6)
    assert (replay.agreement.operations, replay.agreement.agreed) == (1, 1)
    assert replay.agreement.impact == 0
    assert [(t.price, t.amount) for t in fastbook_server.trades()] == [
        (pytest.approx((10 * 100.5 + 4 * 101) / 14), 14.0)
    ]


@instruments
async def test_what_a_bot_takes_is_missing_later(
    fastbook_server: Any, file: Path, connect: Callable[..., Any]
) -> None:
    """It takes the better offer before the recorded buyer, who then pays more."""
    replay = fastbook_server.replay(file, speed=10)
    bot = await connect(feed="none")
    fastbook_server.clock.advance(0.2)
    await bot.add("bid", 100.5, 10, "mine")
    await bot.until(event="order", ref="mine")
    fastbook_server.clock.advance(1)
    assert (replay.agreement.operations, replay.agreement.agreed) == (1, 0)
    assert replay.agreement.first is not None
    assert replay.agreement.first.text().endswith("here other orders had priority")
    assert replay.agreement.impact == pytest.approx(10 * 101 - (10 * 100.5 + 4 * 101) * 10 / 14)
    assert [(f.price, f.amount) for f in fastbook_server.fills_of(bot.user_id)] == [(100.5, 10.0)]


@instruments
def test_a_test_may_start_in_the_middle(fastbook_server: Any, file: Path) -> None:
    replay = fastbook_server.replay(file, start_s=3.5)
    assert replay.played == 4
    fastbook_server.assert_book(bids=[(100.0, 10.0)], asks=[(101.0, 6.0)])
    fastbook_server.clock.advance(0.5)
    fastbook_server.assert_book(bids=[(100.0, 7.0)], asks=[(101.0, 6.0)])


@pytest.mark.fastbook(instruments=["AAPL:1:1"])
def test_an_instrument_that_does_not_fit_is_said(fastbook_server: Any, file: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a tick that divides 0\.5, got 1: use @pytest"):
        fastbook_server.replay(file)


@pytest.mark.fastbook(instruments=["COIN:1:1"])
def test_an_own_export_is_a_recorded_market_too(fastbook_server: Any, tmp_path: Path) -> None:
    """An iceberg and an order of fill-or-kill among it; a stop order comes as it is triggered."""
    columns = (
        "security,seq,n,time,event,order_id,user_id,type,exec_type,price,amount,total,"
        "trigger_price,display,time_in_force,post_only,self_trade,expire_time,client_order_id,"
        "maker_order_id,maker_user_id,fill_id,reason"
    )
    rows = (
        "COIN,0,,,instrument,,,,,1.0,1.0,,,,,,,,,,,,",
        "COIN,1,0,1000,placed,a,u1,ask,limit,100.0,9.0,,,2.0,gtc,false,allow,,,,,,",
        "COIN,2,0,1500,placed,s,u2,bid,stop,,3.0,,100.0,,ioc,false,allow,,,,,,",
        "COIN,3,0,2000,placed,b,u2,bid,limit,100.0,4.0,,,,fok,false,allow,,,,,,",
        "COIN,3,0,2000,filled,b,u2,bid,,100.0,4.0,,,,,,,,,a,u1,1,",
        "COIN,4,0,2000,triggered,s,u2,bid,,,3.0,,,,,,,,,,,,trigger",
        "COIN,4,0,2000,filled,s,u2,bid,,100.0,3.0,,,,,,,,,a,u1,2,",
    )
    file = tmp_path / "events.csv"
    file.write_text("\n".join((columns, *rows)) + "\n")
    replay = fastbook_server.replay(file)
    fastbook_server.assert_book(bids=[], asks=[(100.0, 2.0)])
    fastbook_server.clock.advance(1)
    fastbook_server.assert_book(bids=[], asks=[(100.0, 1.0)])
    assert (replay.is_over, replay.played) == (True, 3)
    assert (replay.agreement.operations, replay.agreement.agreed) == (2, 2)
    assert [trade.amount for trade in fastbook_server.trades()] == [4.0, 3.0]
