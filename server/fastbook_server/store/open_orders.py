"""Open orders in bulk, for a start that reads millions: from binary rows, and added up by level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastbook_server.values.events import Order
from fastbook_server.values.instruments import Instrument
from fastbook_server.values.persisted import OpenOrder
from fastbook_wire.words import SideName

BookLevel = tuple[str, SideName, int | None]
"""Security, side, and price in ticks."""

_HEADER_BYTES = 19  # the signature, flags, and the length of an extension, which is 0
_NUMERIC_BASE = 10_000
_HEX = b"0123456789abcdef"


class OpenOrderReader:
    """Takes what COPY writes in binary of the columns `rows.OPEN_ORDERS`, in pieces of any length.

    ``found`` has the orders so far, in the order of the rows.
    """

    def __init__(self, instruments: Mapping[str, Instrument]) -> None:
        self.found: list[OpenOrder] = []
        self._instruments = dict(instruments)
        self._texts: dict[bytes, str] = {}  # those that many rows share
        self._data = b""
        self._at = 0
        self._header_left = _HEADER_BYTES

    def feed(self, data: bytes | bytearray) -> None:
        """Take a further piece."""
        self._data = self._data[self._at :] + data
        self._at = 0
        if self._header_left:
            skipped = min(self._header_left, len(self._data))
            self._header_left -= skipped
            self._at = skipped
        while self._has_row():
            self.found.append(self._open_order())

    def _has_row(self) -> bool:
        """Whether a whole row is there; there is none after the last."""
        size, start = len(self._data), self._at
        left = self._signed(2) if start + 2 <= size else 0
        complete = left > 0
        while complete and left:
            complete = self._at + 4 <= size
            if complete:
                length = self._signed(4)  # which moves on itself
                self._at += max(0, length)
                left -= 1
        complete = complete and self._at <= size
        self._at = start
        return complete

    def _open_order(self) -> OpenOrder:
        self._signed(2)  # how many fields it has
        order_id = self._uuid()
        time_ms = self._integer()
        user_id = self._shared_text()
        instrument = self._instruments[self._shared_text()]
        side = self._shared_text()
        price = self._integer_or_none()
        quantity = self._integer()
        remaining = self._integer()
        notional = self._numeric()
        seq = self._integer()
        time_in_force = self._shared_text()
        post_only = self._integer() != 0
        self_trade = self._shared_text()
        client_order_id = self._text()
        withdraw_on_close = self._integer() != 0
        exec_type = self._shared_text()
        held = self._integer() != 0
        trigger_price = self._integer_or_none()
        display = self._integer_or_none()
        visible = self._integer_or_none()
        expire_ms = self._integer_or_none()
        queued_seq = self._integer_or_none()
        queued_n = self._integer_or_none()
        placed_price = self._integer_or_none()
        placed_quantity = self._integer_or_none()
        former_client_order_ids = self._texts_of_array()
        order = Order(
            order_id,
            seq,
            time_ms,
            user_id,
            instrument,
            side,  # type: ignore[arg-type]  # the schema's enums are the words of the wire
            exec_type,  # type: ignore[arg-type]
            price,
            quantity,
            time_in_force,  # type: ignore[arg-type]
            post_only,
            self_trade,  # type: ignore[arg-type]
            client_order_id,
            withdraw_on_close,
            trigger_price,
            display or 0,
            expire_ms,
            None,  # its budget: who gave one never rests
            placed_price,
            placed_quantity,
            former_client_order_ids,
        )
        if visible is None:
            visible = 0 if held else remaining
        queued = (queued_seq or seq, queued_n or 0)
        return OpenOrder(order, remaining, notional, queued, visible, held)

    # ---- fields -------------------------------------------------------------------------------

    def _integer(self) -> int:
        """Read an integer or a truth value that is not null."""
        return self._signed(self._signed(4))

    def _integer_or_none(self) -> int | None:
        size = self._signed(4)
        return None if size < 0 else self._signed(size)

    def _signed(self, size: int) -> int:
        """Read an integer of so many bytes, most significant byte first."""
        data, at = self._data, self._at
        value = data[at]
        if value > 127:
            value -= 256
        for n in range(at + 1, at + size):
            value = value * 256 + data[n]
        self._at = at + size
        return value

    def _text(self) -> str | None:
        size = self._signed(4)
        if size < 0:
            return None
        data, start = self._data, self._at
        self._at = end = start + size
        return data[start:end].decode("utf-8")

    def _shared_text(self) -> str:
        """Read a text that is not null and that other rows have, too: once for all of them."""
        size = self._signed(4)
        data, start = self._data, self._at
        self._at = end = start + size
        encoded = data[start:end]
        text = self._texts.get(encoded)
        if text is None:
            text = self._texts[encoded] = encoded.decode("utf-8")
        return text

    def _uuid(self) -> str:
        data, at = self._data, self._at + 4
        text = bytearray(b"-" * 36)
        to = 0
        for n in range(16):
            if n in (4, 6, 8, 10):
                to += 1
            text[to] = _HEX[data[at + n] >> 4]
            text[to + 1] = _HEX[data[at + n] & 15]
            to += 2
        self._at = at + 16
        return text.decode("ascii")

    def _numeric(self) -> int:
        """Read a whole number, or null as 0."""
        if self._signed(4) < 0:
            return 0
        count, weight = self._signed(2), self._signed(2)
        self._signed(4)  # positive, and no digits after the point
        value = 0
        for _ in range(count):
            value = value * _NUMERIC_BASE + self._signed(2)
        return int(value * _NUMERIC_BASE ** (weight + 1 - count))

    def _texts_of_array(self) -> tuple[str, ...]:
        """Read an array of texts, or null as an empty one."""
        if self._signed(4) < 0:
            return ()
        dimensions = self._signed(4)
        self._signed(8)  # no element is null, and all are texts
        if not dimensions:
            return ()
        count = self._signed(4)
        self._signed(4)  # the first index
        return tuple([self._text() or "" for _ in range(count)])


def levels_of(open_orders: Sequence[OpenOrder]) -> dict[BookLevel, int]:
    """Return how many lots show at each price of each book."""
    books: dict[tuple[str, SideName], dict[int | None, int]] = {}
    for resting in open_orders:
        if resting.held:
            continue
        order = resting.order
        side = (order.instrument.security, order.side)
        book = books.get(side)
        if book is None:
            book = books[side] = {}
        book[order.price] = book.get(order.price, 0) + resting.visible
    return {(*side, price): lots for side, book in books.items() for price, lots in book.items()}
