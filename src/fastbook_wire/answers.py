"""Answers of ``GET /api/...``: one struct per path."""

from __future__ import annotations

from fastbook_wire.frames import (
    BookRows,
    CandleView,
    EndedOrderView,
    FillView,
    InstrumentView,
    OwnFillView,
    TradeView,
    View,
)
from fastbook_wire.words import Currency, Interval, Security, Seq, TimeMs, UserId


class InstrumentsAnswer(View):
    """``/api/instruments``: Every instrument with its tick size, lot size and status."""

    instruments: tuple[InstrumentView, ...]


class LeaderView(View, kw_only=True):
    """A user by profit: what sales brought less what purchases cost, and what is held.

    What is held counts at the last price. Users with the same ``profit`` share a ``rank``.
    ``fills`` counts both sides of a trade with oneself.
    """

    rank: int
    user_id: UserId
    profit: float
    fills: int


class LeaderboardAnswer(View, kw_only=True):
    """``/api/leaderboard``: The users with the most profit, where the server keeps a leaderboard.

    The profit is that in the securities whose prices are in ``currency``; ``currencies`` are those
    of all securities.
    """

    currency: Currency
    currencies: tuple[Currency, ...]
    users: tuple[LeaderView, ...]


class BookAnswer(View, kw_only=True):
    """``/api/book``: The aggregated book as of command ``seq``, best price first."""

    security: Security
    seq: Seq
    time: TimeMs
    agg_order_book: BookRows


class TradesAnswer(View, kw_only=True):
    """``/api/trades``: The newest trades with a ``seq`` below ``before``, oldest first.

    ``more`` is true if older trades exist; request them with ``before`` set to the ``seq`` of the
    first trade here.
    """

    security: Security
    trades: tuple[TradeView, ...]
    more: bool


class FillsAnswer(View, kw_only=True):
    """``/api/fills``: The fills of a security, oldest first.

    With ``since`` or ``start`` these are the first ``limit`` ones from there on, and ``more`` is
    true if later ones exist within the bounds. Without both they are the last ``limit``, and
    ``more`` is true if earlier ones exist.
    """

    security: Security
    fills: tuple[FillView, ...]
    more: bool


class OwnFillsAnswer(View, kw_only=True):
    """``/api/fills`` with a resume token as bearer: The fills of its user, paged like all.

    Both fills of a self-trade count as one of the ``limit``.
    """

    security: Security
    fills: tuple[OwnFillView, ...]
    more: bool


class EndedOrdersAnswer(View, kw_only=True):
    """``/api/endedOrders``: The ended orders of the user whose resume token is the bearer.

    The last ``limit`` that were placed, or the last before ``before``; oldest first. ``more`` is
    true if older ones exist.
    """

    security: Security
    orders: tuple[EndedOrderView, ...]
    more: bool


class CandlesAnswer(View, kw_only=True):
    """``/api/candles``: Candles, oldest first; a bucket without trades has no candle.

    With ``start`` these are the first ``limit`` candles from there on, and ``more`` is true if
    later ones exist before ``end``. Without it they are the last ``limit`` candles before ``end``,
    and ``more`` is true if earlier ones exist.
    """

    security: Security
    interval: Interval
    candles: tuple[CandleView, ...]
    more: bool


class ErrorAnswer(View, kw_only=True):
    """Why a request was refused; ``parameter`` names the parameter at fault, if there is one."""

    code: str
    message: str
    parameter: str | None = None
