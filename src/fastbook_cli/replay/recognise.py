"""Finds out from its content what a file is, and returns the reader for it.

What holds price levels, bars or trades instead of orders is refused with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from fastbook_cli.replay.actions import RecordingError
from fastbook_cli.replay.container import Content, Meter, contents
from fastbook_cli.replay.formats import (
    bitstamp,
    coinbase,
    databento,
    export,
    export_orders,
    itch,
    lobster,
)
from fastbook_cli.replay.reader import RecordingReader, columns_of, first_line, second_line

READABLE = (
    "LOBSTER messages, Nasdaq ITCH 5.0, Databento MBO (CSV or DBN), Coinbase's full channel, "
    "Bitstamp's order events (ob-analytics) or an export of events"
)


def _whole(
    make: Callable[[Content], RecordingReader],
) -> Callable[[Content, str | None], RecordingReader]:
    """Return what makes a reader of a file of one security; it refuses another symbol."""

    def make_of(content: Content, symbol: str | None) -> RecordingReader:
        reader = make(content)
        if symbol is not None and reader.security not in (None, symbol):
            raise RecordingError(
                f"{content.name}: --symbol: expected {reader.security}, got {symbol!r}"
            )
        return reader

    return make_of


_FORMATS: tuple[
    tuple[Callable[[Content], bool], Callable[[Content, str | None], RecordingReader]], ...
] = (
    (bitstamp.is_bitstamp, _whole(bitstamp.Bitstamp)),
    (databento.is_csv, databento.Databento),
    (databento.is_dbn, databento.Databento),
    (coinbase.is_coinbase, coinbase.Coinbase),
    (lobster.is_lobster, _whole(lobster.Lobster)),
    (itch.is_itch, itch.Itch),
    (export.is_export, export_orders.ExportOrders),
)

_LEVELS = "price levels: the sums of orders, not the orders"
_BARS = "bars: what was traded in each interval, not the orders"
_TRADES = "trades: what was executed, not the orders"
_QUOTES = "the best prices, not the orders behind them"
_BY_COLUMNS: tuple[tuple[frozenset[str], str], ...] = tuple(
    (frozenset(names.split()), what)
    for names, what in (
        ("exchange symbol local_timestamp is_snapshot side price amount", _LEVELS),  # Tardis
        ("asks[0].price bids[0].price", _LEVELS),  # Tardis snapshots
        ("ask_px_00 bid_px_00", _LEVELS),  # Databento mbp
        ("first_update_id last_update_id", _LEVELS),  # Binance depth
        ("timestamp percentage depth notional", _LEVELS),  # Binance bookDepth
        ("open_time open high low close", _BARS),  # Binance klines
        ("open high low close", _BARS),
        ("best_bid_price best_ask_price", _QUOTES),
        ("bid_price ask_price", _QUOTES),
        ("agg_trade_id price quantity", _TRADES),
        ("id price qty quote_qty", _TRADES),
        ("exchange symbol local_timestamp id side price amount", _TRADES),
        ("ts_event action side depth price size", _TRADES),
        ("timestamp symbol side size price tickdirection", _TRADES),  # BitMEX, Bybit
        ("exchange symbol date price amount sell", _TRADES),  # Kaiko
        ("bidprice askprice", _QUOTES),  # BitMEX
        ("date type price amount", _LEVELS),  # Kaiko
    )
)
_OF_ORDERS = frozenset({"order_id", "orderid", "action", "direction", "event", "type"})
_WHEN = frozenset({"time", "timestamp", "date", "datetime", "ts", "ts_event"})
_HOW_MUCH = frozenset({"amount", "size", "qty", "quantity", "volume"})
_BY_FIELD = (
    ('"lastUpdateId"', _LEVELS),
    ('"depthUpdate"', _LEVELS),
    ('"l2update"', _LEVELS),
    ('"l2_data"', _LEVELS),
    ('"book_change"', _LEVELS),
    ('"orderbook', _LEVELS),
    ('"channel":"book', _LEVELS),
    ('"bids"', _LEVELS),
    ('"kline"', _BARS),
    ('"candle', _BARS),
    ('"aggTrade"', _TRADES),
    ('"publicTrade', _TRADES),
)
_BY_ROW = (
    (re.compile(r"\d{13,16}(,-?[\d.]+){4,5},\d{13,16},"), _BARS),
    (re.compile(r"\[\[?\d{10,16}(,\s*\"?-?[\d.]+\"?){4}"), _BARS),
    (re.compile(r"\d+,[\d.]+,[\d.]+,\d+,\d+,\d{13,16},(true|false)", re.IGNORECASE), _TRADES),
    (re.compile(r"\d+,[\d.]+,[\d.]+,[\d.]+,\d{13,16},(true|false)", re.IGNORECASE), _TRADES),
)
_LOBSTER_BOOK = re.compile(r"(-?\d+,){3}-?\d+(,-?\d+)*$")
_JSON_SHOWN = 2_000


def reader_for(
    path: Path, symbol: str | None = None, meter: Meter | None = None
) -> RecordingReader:
    """Return the reader of a recording; `symbol` is needed if several are in it.

    Raises:
        RecordingError: it is none that can be read, cannot be unpacked, or lacks the symbol.
    """
    found = contents(path, meter)
    for content in found:
        if content.name.endswith(bitstamp.PREFERRED):
            return bitstamp.Bitstamp(content)
    known = [(c, make) for c in found for is_one, make in _FORMATS if is_one(c)]
    if len({c.name for c, _ in known}) > 1:
        names = ", ".join(Path(c.name).name for c, _ in known[:10])
        raise RecordingError(f"{path}: expected one recording in the archive, got {names}")
    if known:
        content, make = known[0]
        return make(content, symbol)
    if not found:
        raise RecordingError(f"{path}: expected a recording, got an archive without any")
    raise RecordingError(f"{path}: {_refusal(found[0])}")


def export_in(
    path: Path, symbol: str | None = None, meter: Meter | None = None
) -> export.Export | None:
    """Return the reader of an own export of events, None if the file is none.

    Raises:
        RecordingError: it cannot be unpacked, or lacks the symbol.
    """
    found = [content for content in contents(path, meter) if export.is_export(content)]
    return export.Export(found[0], symbol) if found else None


def _refusal(content: Content) -> str:
    """Return why a file cannot be replayed."""
    if not content.head.strip():
        if content.ending.is_early:
            return "it is packed, and ends before the first of what it holds"
        return f"expected {READABLE}; got an empty file"
    line = first_line(content.head)
    what = _by_columns({name.lower() for name in columns_of(content.head)})
    if what is None and line[:1] in ("[", "{"):
        start = content.head[:_JSON_SHOWN].decode(errors="replace").replace('": ', '":')
        what = next((text for field, text in _BY_FIELD if field in start), None)
    if what is None:
        what = next((text for row, text in _BY_ROW if row.match(line)), None)
    if what is None and _is_lobster_book(content.head):
        what = _LEVELS
    if what is not None:
        return f"this file holds {what}, which is what can be replayed: {READABLE}"
    shown = line[:80] if line.isprintable() and line else repr(content.head[:16])
    return f"expected {READABLE}; the file starts with {shown}"


def _by_columns(columns: set[str]) -> str | None:
    """Return what a CSV with such columns holds, if it is known and no orders."""
    for names, what in _BY_COLUMNS:
        if names <= columns:
            return what
    is_traded = "price" in columns and columns & _WHEN and columns & _HOW_MUCH
    return _TRADES if is_traded and not columns & _OF_ORDERS else None


def _is_lobster_book(head: bytes) -> bool:
    """Return whether the first rows are four numbers for each of so many levels."""
    rows = [row for row in (first_line(head), second_line(head)) if row]
    return bool(rows) and all(_LOBSTER_BOOK.match(row) and row.count(",") % 4 == 3 for row in rows)
