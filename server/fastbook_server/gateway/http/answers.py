"""The bodies of ``/api`` answers, as JSON bytes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Raw

from fastbook_server.gateway.encode import (
    BookRowsJson,
    candle_view,
    ended_order_view,
    fill_view,
    instrument_view,
    own_fill_view,
    trade_view,
)
from fastbook_server.gateway.market_views import ASK, BID, SecurityView
from fastbook_server.values.candles import Candle
from fastbook_server.values.events import Traded
from fastbook_server.values.instruments import Instrument
from fastbook_server.values.persisted import ClientOrder, OwnFill, StoredFill
from fastbook_wire.answers import (
    CandlesAnswer,
    EndedOrdersAnswer,
    ErrorAnswer,
    FillsAnswer,
    InstrumentsAnswer,
    LeaderboardAnswer,
    LeaderView,
    OwnFillsAnswer,
    TradesAnswer,
)
from fastbook_wire.frames import View
from fastbook_wire.words import INTERVALS, Interval


class _BookAnswer(View, kw_only=True):
    """`BookAnswer` with sides that are already encoded as JSON arrays."""

    security: str
    seq: int
    time: int
    agg_order_book: BookRowsJson


_encode = msgspec.json.Encoder().encode


def instruments(traded: Sequence[Instrument]) -> bytes:
    """Answer ``/api/instruments``."""
    return _encode(InstrumentsAnswer(tuple(map(instrument_view, traded))))


def book(view: SecurityView, rows: int) -> bytes:
    """Answer ``/api/book``: the best `rows` of each side."""
    sides = (Raw(view.depth.rows_json(side, rows)) for side in (ASK, BID))
    return _encode(
        _BookAnswer(
            security=view.instrument.security,
            seq=view.seq,
            time=view.time_ms,
            agg_order_book=BookRowsJson(*sides),
        )
    )


def ticker(view: SecurityView) -> bytes:
    """Answer ``/api/ticker``."""
    return _encode(view.ticker())


def trades(security: str, found: Sequence[Traded], *, more: bool) -> bytes:
    """Answer ``/api/trades``."""
    views = tuple(map(trade_view, found))
    return _encode(TradesAnswer(security=security, trades=views, more=more))


def fills(instrument: Instrument, found: Sequence[StoredFill], *, more: bool) -> bytes:
    """Answer ``/api/fills`` without a token."""
    views = tuple(fill_view(instrument, fill) for fill in found)
    return _encode(FillsAnswer(security=instrument.security, fills=views, more=more))


def own_fills(instrument: Instrument, found: Sequence[OwnFill], *, more: bool) -> bytes:
    """Answer ``/api/fills`` with a token."""
    views = tuple(own_fill_view(instrument, own) for own in found)
    return _encode(OwnFillsAnswer(security=instrument.security, fills=views, more=more))


def ended_orders(security: str, found: Sequence[ClientOrder], *, more: bool) -> bytes:
    """Answer ``/api/endedOrders``."""
    views = tuple(map(ended_order_view, found))
    return _encode(EndedOrdersAnswer(security=security, orders=views, more=more))


def candles(
    instrument: Instrument,
    interval: Interval,
    found: Sequence[Candle],
    *,
    settled_ms: int,
    more: bool,
) -> bytes:
    """Answer ``/api/candles``; a candle is final if its bucket had ended at `settled_ms`."""
    final_ms = settled_ms - INTERVALS[interval]
    views = tuple(candle_view(instrument, c, final=c.start_ms <= final_ms) for c in found)
    return _encode(
        CandlesAnswer(security=instrument.security, interval=interval, candles=views, more=more)
    )


def leaderboard(currency: str, currencies: tuple[str, ...], users: tuple[LeaderView, ...]) -> bytes:
    """Answer ``/api/leaderboard``."""
    return _encode(LeaderboardAnswer(currency=currency, currencies=currencies, users=users))


def refusal(code: str, message: str, parameter: str | None) -> bytes:
    """Return the body of a refused request."""
    return _encode(ErrorAnswer(code=code, message=message, parameter=parameter))
