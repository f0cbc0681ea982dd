"""Coinbase Exchange's ``full`` channel, one JSON message per line.

An order is ``received``, ``match``-es as a taker, and is then ``open`` with what rests or ``done``;
``change`` reports a smaller or moved one. A market order by ``funds`` is placed for what it traded;
a stop order that waits (``activate``) is in no book. A book may stand among the messages (level 3
of the REST API: ``bids`` and ``asks`` of price, size, id): it is as of its ``sequence``.
See https://docs.cdp.coinbase.com/exchange/websocket-feed/channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Literal

import msgspec

from fastbook_cli.replay.actions import Action, RecordingError, Undecided
from fastbook_cli.replay.container import HEAD_BYTES, Content
from fastbook_cli.replay.earlier import Earlier
from fastbook_cli.replay.executions import Executions
from fastbook_cli.replay.formats.json_lines import Envelope, envelopes, message_text
from fastbook_cli.replay.reader import BOM, Lines, iso_ns
from fastbook_cli.replay.venue_book import VenueBook
from fastbook_cli.replay.venue_snapshot import Listed, reconcile
from fastbook_wire.words import SideName

_OF_BOOK = ("received", "open", "match", "done", "change")
_TYPES = (*_OF_BOOK, "activate")
_OF_ORDERS = tuple(f"{word}".encode() for word in ("received", "open", "done", "bids", "asks"))
_SIDES: dict[str, SideName] = {"buy": "bid", "sell": "ask"}
_SHOWN = 10
_LOOKED_AT = 100
"""So many lines are looked at for messages of orders: others may come before them."""
_GAPS = "gaps in the sequence of messages"
_PREVENTED = "orders that the venue ended before they met all that they could"
"""Their owner's own orders were there, or they were to be filled at once or not at all."""
_OLD_BOOK = "books that are older than the messages before them"


class Message(msgspec.Struct):
    """The fields of a message that matter."""

    type: str = ""
    time: str = ""
    product_id: str = ""
    sequence: int = 0
    order_id: str = ""
    side: str = ""
    order_type: str = "limit"
    size: str | None = None
    funds: str | None = None
    price: str | None = None
    remaining_size: str | None = None
    reason: str = ""
    maker_order_id: str = ""
    taker_order_id: str = ""
    new_size: str | None = None
    new_price: str | None = None
    bids: list[list[str]] | None = None
    asks: list[list[str]] | None = None


_decode = msgspec.json.Decoder(Message, strict=False).decode


def is_coinbase(content: Content) -> bool:
    """Return whether a file starts with such messages or such a book."""
    return _envelope(content.head) is not False


def _envelope(head: bytes) -> Envelope | Literal[False] | None:
    """Return what the messages at the start of a file are wrapped in, False if there are none."""
    lines = head.removeprefix(BOM).decode(errors="replace").splitlines()[:_LOOKED_AT]
    for n, line in enumerate(lines):
        text = message_text(line.strip())
        if not text.startswith('{"'):
            if text:
                return False
            continue
        is_whole = n + 1 < len(lines) or len(head) < HEAD_BYTES
        if not is_whole:  # a book fills more than the head: see whether its rows have an id
            return None if '"bids"' in text and _has_ids(text) else False
        if _is_of_orders(text):
            return None
        for envelope in envelopes(text):
            try:
                if _is_of_orders(envelope.open(text)):
                    return envelope
            except msgspec.DecodeError:
                continue
    return False


def _is_of_orders(text: str | bytes) -> bool:
    try:
        message = _decode(text)
    except msgspec.DecodeError:
        return False
    if message.bids is not None or message.asks is not None:
        rows = [*(message.bids or ()), *(message.asks or ())]
        return all(len(row) >= 3 for row in rows)
    return message.type in _TYPES and bool(message.sequence)


def _has_ids(start: str) -> bool:
    rows = start.partition('"bids"')[2].partition("[")[2].partition("]")[0]
    return rows.count(",") == 2


class _Incoming:
    """An order that has been received, and is neither open nor done."""

    def __init__(self, line: int, message: Message) -> None:
        self.line = line
        self.side = _SIDES[message.side]
        self.is_market = message.order_type == "market"
        self.is_by_funds = message.funds is not None
        self.price = _number("price", message.price) if message.price is not None else None
        self.size = _number("size", message.size) if message.size is not None else None
        self.fills: list[tuple[str, Decimal, Decimal]] = []


class Coinbase:
    """Reads one product of such a file: `symbol`, or the only one."""

    kind = "Coinbase full channel"
    place = "line"
    times = "ISO 8601"

    def __init__(self, content: Content, symbol: str | None) -> None:
        self.content = content
        self._envelope = _envelope(content.head) or None
        if not any(kind in content.head for kind in _OF_ORDERS):
            raise RecordingError(
                f"{content.name}: expected the channel full, got matches alone, which are trades"
            )
        self.security: str | None = self._find(symbol)

    def actions(
        self, notes: Undecided, *, earlier: Earlier | None = None, survey: Earlier | None = None
    ) -> Iterator[Action]:
        """Yield the actions in order."""
        book = VenueBook(notes, Decimal, Decimal, earlier=earlier, survey=survey)
        feed = _Feed(book, notes)
        lines = Lines(self.content)
        if survey is None:
            book.place_earlier()
        with lines.checked(notes):
            for text in lines:
                message = self._read(text)
                if message.product_id not in ("", self.security):
                    continue
                feed.take(lines.number, message)
                if book.out:
                    yield from book.out
                    book.out.clear()
        feed.finish()
        yield from book.out
        if survey is not None:
            survey.unended = frozenset(book.open_ids)

    def _read(self, text: str) -> Message:
        text = message_text(text)
        try:
            return _decode(text if self._envelope is None else self._envelope.open(text))
        except msgspec.DecodeError as error:
            if text:
                raise ValueError(f"expected a JSON message: {error}") from None
            return Message()

    def _find(self, symbol: str | None) -> str | None:
        seen: dict[str, None] = {}
        lines = Lines(self.content)
        with lines.checked(Undecided()):
            for text in lines:
                message = self._read(text)
                if message.type in _TYPES and message.product_id:
                    if message.product_id == symbol:
                        return symbol
                    seen[message.product_id] = None
                    if symbol is None and len(seen) > _SHOWN:
                        break
        if symbol is None and len(seen) <= 1:
            return next(iter(seen), None)
        got = "none" if symbol is None else repr(symbol)
        raise RecordingError(
            f"{self.content.name}: --symbol: expected one of its products, "
            f"{', '.join(sorted(seen)[:_SHOWN])}, got {got}"
        )


class _Feed:
    """Follows the messages of one product."""

    def __init__(self, book: VenueBook, notes: Undecided) -> None:
        self._book = book
        self._notes = notes
        self._executions = Executions(book)
        self._incoming: dict[str, _Incoming] = {}
        self._sequence = 0

    def take(self, line: int, message: Message) -> None:
        """Follow one message."""
        book, kind = self._book, message.type
        if message.bids is not None or message.asks is not None:
            book.line = line
            self._start(message)
            return
        if kind not in _OF_BOOK:
            return
        if message.sequence:
            if message.sequence <= self._sequence:
                self._notes.count("repeated messages", line)
                return
            if self._sequence and message.sequence > self._sequence + 1:
                self._notes.count(_GAPS, line)
            self._sequence = message.sequence
        if kind != "match":
            self._executions.flush()
        book.line, book.time_ns = line, iso_ns(message.time)
        if kind == "received":
            self._incoming[message.order_id] = _Incoming(line, message)
        elif kind == "match":
            self._match(message)
        elif kind == "open":
            self._open(message)
        elif kind == "done":
            self._done(message)
        elif kind == "change":
            self._change(message)

    def finish(self) -> None:
        """Place what the file has left undecided."""
        self._executions.flush()
        for order_id, incoming in self._incoming.items():
            self._take_effect(order_id, incoming)

    def _start(self, message: Message) -> None:
        """Take a book over, unless it is older than what has been followed already."""
        if message.sequence < self._sequence:
            self._notes.count(_OLD_BOOK, self._book.line)
            return
        self._executions.flush()
        self._sequence = message.sequence
        sides: tuple[tuple[SideName, list[list[str]] | None], ...] = (
            ("bid", message.bids), ("ask", message.asks),
        )  # fmt: skip
        listed = [
            Listed(row[2], side, _number("price", row[0]), _number("size", row[1]))
            for side, rows in sides
            for row in rows or ()
        ]
        there = {order.order_id for order in listed}
        self._incoming = {i: order for i, order in self._incoming.items() if i not in there}
        reconcile(self._book, listed)

    def _match(self, message: Message) -> None:
        side = _SIDES[message.side]
        price, size = _number("price", message.price), _number("size", message.size)
        maker = message.maker_order_id
        if not self._book.knows(maker):
            self._executions.flush()
            self._book.mention(maker, side, price, size)
        taker = self._incoming.get(message.taker_order_id)
        if taker is not None:
            taker.fills.append((maker, price, size))
        elif self._book.knows(maker):
            self._executions.add(side, maker, price, size)

    def _open(self, message: Message) -> None:
        order_id = message.order_id
        rest, price = (
            _number("remaining_size", message.remaining_size),
            _number("price", message.price),
        )
        incoming = self._incoming.pop(order_id, None)
        if incoming is not None and incoming.fills:
            self._book.trade(incoming.side, incoming.fills, taker=order_id, limit=price, rest=rest)
        else:
            self._book.add(order_id, _SIDES[message.side], price, rest)

    def _done(self, message: Message) -> None:
        order_id = message.order_id
        incoming = self._incoming.pop(order_id, None)
        if incoming is not None:
            self._take_effect(order_id, incoming)
        elif message.reason != "filled":
            left = message.remaining_size
            if self._book.knows(order_id):
                self._book.cancel(order_id)
            elif left is not None and message.price is not None and _number("size", left):
                seen = _SIDES[message.side], _number("price", message.price)
                self._book.cancel(order_id, _number("size", left), seen)

    def _take_effect(self, order_id: str, incoming: _Incoming) -> None:
        """Place an order of which nothing came to rest."""
        if incoming.is_market and incoming.size is None and not incoming.fills:
            self._notes.count("market orders by value that traded nothing", incoming.line)
            return
        wanted = None if incoming.is_by_funds and incoming.fills else incoming.size
        traded = sum(fill[2] for fill in incoming.fills)
        if wanted is not None and traded < wanted:
            limit = None if incoming.is_market else incoming.price
            if self._book.would_meet(incoming.side, limit, incoming.fills):
                self._notes.count(_PREVENTED, incoming.line)
                if not traded:
                    return
                wanted = traded
        self._book.trade(
            incoming.side,
            incoming.fills,
            taker=order_id,
            limit=incoming.price,
            wanted=wanted,
            is_market=incoming.is_market,
        )

    def _change(self, message: Message) -> None:
        order_id = message.order_id
        if message.new_size is None:
            return  # of a market order by value
        size = _number("new_size", message.new_size)
        price = message.new_price if message.new_price is not None else message.price
        incoming = self._incoming.get(order_id)
        if incoming is not None:
            incoming.size = size + sum(fill[2] for fill in incoming.fills)
        elif self._book.knows(order_id):
            at = self._book.price_at(order_id) if price is None else _number("price", price)
            if size:
                self._book.amend(order_id, at, size)
            else:
                self._book.cancel(order_id)
        else:
            self._notes.count("changes of unknown orders", self._book.line)


def _number(name: str, text: str | None) -> Decimal:
    try:
        number = Decimal(text or "")
    except ArithmeticError:
        raise ValueError(f"{name}: expected a number, got {text!r}") from None
    if not number.is_finite() or number < 0 or number.adjusted() > 20:
        raise ValueError(f"{name}: expected a number, got {text!r}")
    return number
