"""What ``GET /api/...`` answers: one struct per path."""

from __future__ import annotations

from fastbook_wire.frames import BookRows, CandleView, InstrumentView, TradeView, View
from fastbook_wire.words import Interval, Security, Seq, TimeMs


class InstrumentsAnswer(View):
    """``/api/instruments``: All that is traded."""

    instruments: tuple[InstrumentView, ...]


class BookAnswer(View, kw_only=True):
    """``/api/book``: The aggregated book as it stood after ``seq``, best first."""

    security: Security
    seq: Seq
    time: TimeMs
    agg_order_book: BookRows


class TradesAnswer(View, kw_only=True):
    """``/api/trades``: The newest trades before ``before``, oldest first.

    ``more``: there are older ones; ask with ``before`` = the ``seq`` of the first of these.
    """

    security: Security
    trades: tuple[TradeView, ...]
    more: bool


class CandlesAnswer(View, kw_only=True):
    """``/api/candles``: Candles, oldest first; a bucket without trades has none.

    With ``start``: the first ``limit`` from there on, and ``more`` says that later ones before
    ``end`` exist. Without: the last ``limit`` before ``end``, and ``more`` is about earlier ones.
    """

    security: Security
    interval: Interval
    candles: tuple[CandleView, ...]
    more: bool


class ErrorAnswer(View, kw_only=True):
    """Why a request was refused; ``parameter`` is the one to blame, if one is."""

    code: str
    message: str
    parameter: str | None = None
