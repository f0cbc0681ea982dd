"""Answers of ``GET /api/...``: one struct per path."""

from __future__ import annotations

from fastbook_wire.frames import (
    BookRows,
    CandleView,
    FillView,
    InstrumentView,
    OwnFillView,
    TradeView,
    View,
)
from fastbook_wire.words import Interval, Security, Seq, TimeMs


class InstrumentsAnswer(View):
    """``/api/instruments``: Every instrument with its tick size, lot size and status."""

    instruments: tuple[InstrumentView, ...]


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
