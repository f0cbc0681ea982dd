"""Bitstamp's order events as ob-analytics stores them: a CSV row per event, trades in another file.

How it is read:

- ``created`` places a limit order, ``deleted`` cancels it. ``changed`` reports a fill.
- ``created`` and ``deleted`` in neighbouring rows, at the same exchange time and with unchanged
  volume, is a post-only order: it came, and went at once.
- A market order has the price 0 on an ask, 999999999 on a bid.
- The opening snapshot's rows come first in the file, and rest first.

The column of the exchange's time is called ``exchange_timestamp`` by the Python package, whose
volumes are decimal numbers, and ``exchange.timestamp`` by the R package, whose volumes are 1e-8.
A file ``trades.csv`` beside it holds the venue's own trades. Without one they are found in the
rows: a trade makes two orders smaller, of opposite sides, by as much, and the newer one was the
aggressor. What such a file mentions of older orders than its first one rests first, as a snapshot
would.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

import msgspec

from fastbook_cli.replay.actions import Action, Undecided, VenueFill
from fastbook_cli.replay.container import Content
from fastbook_cli.replay.earlier import Earlier
from fastbook_cli.replay.reader import REPEATED, Lines, columns_of, fields_of, second_line
from fastbook_wire.words import SideName

COLUMNS = ("id", "timestamp", "price", "volume", "action", "direction")
PREFERRED = "ob_analytics/_sample_data/orders.csv.gz"
TRADES = "trades.csv"
BEYOND_PRICE = "orders that traded beyond their price"
_TRADE_COLUMNS = (
    "exchange_timestamp", "price", "amount", "buy_order_id", "sell_order_id", "side",
)  # fmt: skip
_SIDES: dict[str, SideName] = {"bid": "bid", "ask": "ask"}
_MARKET = {"bid": Decimal(999_999_999), "ask": Decimal(0)}
_UNITS = {0: "seconds", 3: "milliseconds", 6: "microseconds", 9: "nanoseconds"}
_ID_LENGTH_MAX = 64  # the longest client order id
_PAIRED_WITHIN = 8
"""The two rows of a trade are so near to each other, counting rows that report trades."""
_ROUNDING, _NO_ROUNDING = Decimal("3e-8"), Decimal(0)
"""The R package made its whole numbers from doubles."""
_ROUNDINGS_MAX = 10
"""So many of them may have come together in what is left of an order."""
_AHEAD_NS = 2_000_000_000
"""How far trades are read ahead of the orders that they belong to."""


def is_bitstamp(content: Content) -> bool:
    """Return whether a file starts with such a header."""
    return set(COLUMNS) <= set(columns_of(content.head))


class _Row(NamedTuple):
    line: int
    order_id: str
    time_ns: int
    exchange: str
    price: Decimal
    volume: Decimal
    action: str
    side: SideName
    rounding: Decimal  # by so much, two volumes of one trade may differ


class Bitstamp:
    """Reads such a file."""

    kind = "Bitstamp order events"
    place = "line"

    def __init__(self, content: Content) -> None:
        self.content = content
        self.security: str | None = None
        self.times = _unit_name(content)

    def actions(
        self, notes: Undecided, *, earlier: Earlier | None = None, survey: Earlier | None = None
    ) -> Iterator[Action]:
        """Yield the actions in order."""
        rows = _rows(self.content, notes)
        trades: _Trades | _Reductions
        known = _Trades(self.content.neighbour(TRADES), notes)
        if known.is_known:
            trades = known
        else:
            trades = _Reductions(notes, survey)
            rows = trades.watch(rows)
        number = 0
        for action in _earlier(earlier, notes):
            number += 1
            yield action
        row = next(rows, None)
        while row is not None:
            after = next(rows, None)
            if row.action != "changed":
                number += 1
                action = _action(number, row, after, trades)
                worst = _beyond(action)
                if worst is None:
                    yield action
                else:
                    notes.count(BEYOND_PRICE, row.line)
                    yield msgspec.structs.replace(action, price=worst)
                    number += 1
                    yield msgspec.structs.replace(action, op="amend", number=number, fills=None)
            row = after
        trades.finish()


def _earlier(earlier: Earlier | None, notes: Undecided) -> Iterator[Action]:
    """Yield the orders from before the file, the oldest first."""
    orders = earlier.orders if earlier is not None else {}
    named = [name for name in sorted(orders, key=int) if orders[name][2]]
    for number, name in enumerate(named, 1):
        side, price, amount = orders[name]
        notes.count("orders from before the file", 1)
        yield Action("add", number, 1, 0, name, side, price, amount)


def _action(number: int, row: _Row, after: _Row | None, trades: _Trades | _Reductions) -> Action:
    if row.action == "deleted":
        return Action("delete", number, row.line, row.time_ns, row.order_id, row.side)
    is_post_only = (
        after is not None
        and after.action == "deleted"
        and after.order_id == row.order_id
        and after.exchange == row.exchange
        and after.volume == row.volume
    )
    price = None if row.price == _MARKET[row.side] else row.price
    return Action(
        "add",
        number,
        row.line,
        row.time_ns,
        row.order_id,
        row.side,
        price,
        row.volume,
        post_only=is_post_only and price is not None,
        fills=trades.of(row),
    )


def _beyond(action: Action) -> Decimal | None:
    """Return the worst price that an order has traded at, if that is beyond its limit."""
    if not action.fills or action.price is None:
        return None
    prices = [fill.price for fill in action.fills]
    worst = max(prices) if action.side == "bid" else min(prices)
    is_within = worst <= action.price if action.side == "bid" else worst >= action.price
    return None if is_within else worst


def _rows(content: Content, notes: Undecided) -> Iterator[_Row]:
    lines = Lines(content)
    texts = iter(lines)
    first = next(texts, "")
    if not first:
        return
    header = columns_of(first.encode())
    where = [header.index(name) for name in COLUMNS]
    in_units = "exchange.timestamp" in header
    exchange_name = "exchange.timestamp" if in_units else "exchange_timestamp"
    exchange = header.index(exchange_name) if exchange_name in header else where[1]
    before = ""
    with lines.checked(notes):
        for text in texts:
            if text in (before, first):
                notes.count(REPEATED, lines.number)
                continue
            before = text
            fields = fields_of(text)
            if len(fields) != len(header):
                raise ValueError(f"expected {len(header)} fields, got {len(fields)}")
            order_id, time, price, volume, action, direction = [fields[i] for i in where]
            if action not in ("created", "deleted", "changed"):
                raise ValueError(
                    f"action: expected created, changed or deleted, got {action[:40]!r}"
                )
            side = _SIDES.get(direction)
            if side is None:
                raise ValueError(f"direction: expected bid or ask, got {direction[:40]!r}")
            if not 0 < len(order_id) <= _ID_LENGTH_MAX or not order_id.isprintable():
                raise ValueError(
                    f"id: expected 1 to {_ID_LENGTH_MAX} printable characters, "
                    f"got {order_id[:80]!r}"
                )
            amount = _number("volume", volume)
            yield _Row(
                lines.number, order_id, unix_ns("timestamp", time), fields[exchange],
                _number("price", price), amount.scaleb(-8) if in_units else amount, action, side,
                _ROUNDING if in_units else _NO_ROUNDING,
            )  # fmt: skip


class _Trades:
    """The venue's own trades, in the order of their time, read as far as they are needed."""

    def __init__(self, content: Content | None, notes: Undecided) -> None:
        self._notes = notes
        self._content = content
        self._by_taker: dict[str, list[VenueFill]] = {}
        self._next: tuple[int, str, VenueFill] | None = None
        self._trades: Iterator[tuple[int, str, VenueFill]] = iter(())
        self.is_known = content is not None and set(_TRADE_COLUMNS) <= set(columns_of(content.head))
        if content is not None and self.is_known:
            self._trades = _trades(content, notes)
            self._next = next(self._trades, None)

    def of(self, row: _Row) -> tuple[VenueFill, ...] | None:
        """Return what an order traded as it came; None if there is no file of trades."""
        if not self.is_known:
            return None
        until_ns = unix_ns("exchange_timestamp", row.exchange) + _AHEAD_NS
        while self._next is not None and self._next[0] <= until_ns:
            _, taker, fill = self._next
            self._by_taker.setdefault(taker, []).append(fill)
            self._next = next(self._trades, None)
        fills = tuple(self._by_taker.pop(row.order_id, ()))
        return fills if fills or self._next is not None or not self._is_cut else None

    @property
    def _is_cut(self) -> bool:
        """Whether the file of trades ends before the orders do, so that some are not told."""
        return self._content is not None and self._content.ending.is_early

    def finish(self) -> None:
        """Count the trades whose taker the file has not placed."""
        left = sum(map(len, self._by_taker.values())) + sum(1 for _ in self._trades)
        left += self._next is not None
        if left:
            self._notes.count("trades of orders that the file does not place", 0, left)


class _Reductions:
    """Trades as the rows tell of them; ``watch`` reads rows somewhat ahead of those it yields."""

    def __init__(self, notes: Undecided, survey: Earlier | None) -> None:
        self._notes = notes
        self._survey = survey
        self._first_id: int | None = None
        self._left: dict[str, Decimal] = {}
        self._prices: dict[str, Decimal] = {}
        self._unfilled: dict[str, Decimal] = {}  # by the trades found
        self._single: deque[tuple[_Row, Decimal | None]] = deque(maxlen=_PAIRED_WITHIN)
        self._by_taker: dict[str, list[VenueFill]] = {}

    def watch(self, rows: Iterator[_Row]) -> Iterator[_Row]:
        """Yield all rows, each when those of the next two seconds have been read."""
        waiting: deque[_Row] = deque()
        for row in rows:
            self._see(row)
            waiting.append(row)
            while waiting[0].time_ns < row.time_ns - _AHEAD_NS:
                yield waiting.popleft()
        yield from waiting

    def of(self, row: _Row) -> tuple[VenueFill, ...]:
        """Return what an order traded soon after it came."""
        return tuple(self._by_taker.pop(row.order_id, ()))

    def finish(self) -> None:
        """Count the trades whose taker has not been placed, or had long been there."""
        left = sum(map(len, self._by_taker.values()))
        if left:
            self._notes.count("trades of orders that the file does not place", 0, left)

    def _see(self, row: _Row) -> None:
        name = row.order_id
        before = self._left.get(name)
        if row.action == "created":
            self._left[name], self._prices[name] = row.volume, row.price
            self._unfilled[name] = row.volume
            if self._first_id is None and name.isdigit():
                self._first_id = int(name)
            return
        if before is None:
            self._mention(row, row.volume)
        if row.action == "changed":
            self._left[name] = row.volume
        else:
            self._left.pop(name, None)
        reduced = before - row.volume if before is not None else None
        if (reduced is None and row.volume == 0) or (reduced is not None and reduced > 0):
            self._pair(row, reduced)
        if row.action == "deleted":
            self._prices.pop(name, None)
            if row.volume:
                self._unfilled.pop(name, None)

    def _pair(self, row: _Row, reduced: Decimal | None) -> None:
        """Find the other side of a reduction; None: by an amount that the file does not tell."""
        found = self._other_side(row, reduced)
        if found is None:
            self._single.append((row, reduced))
            return
        self._single.remove(found)
        other, by = found
        told = by if reduced is None else reduced if by is None else min(by, reduced)
        if told is None:
            return
        for each, amount in ((other, by), (row, reduced)):
            if amount is None:
                self._mention(each, told)
        maker, taker = sorted((other, row), key=_age)
        self._trade(maker, taker, self._exactly(told, maker, taker))

    def _other_side(self, row: _Row, reduced: Decimal | None) -> tuple[_Row, Decimal | None] | None:
        """Return the latest that fits: by the same amount, else a rounded one, else any."""
        others = [entry for entry in reversed(self._single) if entry[0].side != row.side]
        for fits in (
            lambda by: by == reduced,
            lambda by: None not in (by, reduced) and abs(by - reduced) <= row.rounding,
            lambda by: by is None or reduced is None,
        ):
            for entry in others:
                if fits(entry[1]):
                    return entry
        return None

    def _exactly(self, told: Decimal, maker: _Row, taker: _Row) -> Decimal:
        """Return an amount without what the file has rounded: all that was left, if it ended."""
        amounts = [
            left
            for each in (maker, taker)
            if not each.volume and (left := self._unfilled.get(each.order_id)) is not None
        ]
        exact = min(amounts, default=told)
        amount = exact if abs(exact - told) <= _ROUNDINGS_MAX * maker.rounding else told
        for each in (maker, taker):
            if not each.volume:
                self._unfilled.pop(each.order_id, None)
            elif each.order_id in self._unfilled:
                self._unfilled[each.order_id] -= amount
        return amount

    def _mention(self, row: _Row, amount: Decimal) -> None:
        """Take note of so much of an order from before the file."""
        is_older = self._first_id is not None and row.order_id.isdigit()
        if self._survey is not None and is_older and int(row.order_id) < (self._first_id or 0):
            self._survey.mention(row.order_id, row.side, row.price, amount)
            self._survey.ticks.see(row.price)
            self._survey.lots.see(amount)

    def _trade(self, maker: _Row, taker: _Row, amount: Decimal) -> None:
        price = self._prices.get(maker.order_id, maker.price)
        fill = VenueFill(maker.order_id, price, amount)
        self._by_taker.setdefault(taker.order_id, []).append(fill)


def _age(row: _Row) -> tuple[int, str]:
    """Return what puts older orders first: ids grow, whatever they are made of."""
    return len(row.order_id), row.order_id


def _trades(content: Content, notes: Undecided) -> Iterator[tuple[int, str, VenueFill]]:
    lines = Lines(content)
    texts = iter(lines)
    header = columns_of(next(texts, "").encode())
    where = [header.index(name) for name in _TRADE_COLUMNS]
    with lines.checked(notes):
        for text in texts:
            fields = fields_of(text)
            time, price, amount, buyer, seller, side = [fields[i] for i in where]
            taker, maker = (buyer, seller) if side == "buy" else (seller, buyer)
            fill = VenueFill(maker, _number("price", price), _number("amount", amount))
            yield unix_ns("exchange_timestamp", time), taker, fill


def _number(name: str, text: str) -> Decimal:
    try:
        number = Decimal(text)
    except ArithmeticError:
        number = Decimal("nan")
    if not number.is_finite() or "_" in text or number.adjusted() > 20:
        raise ValueError(f"{name}: expected a number, got {text[:40]!r}")
    return number


def unix_ns(name: str, text: str) -> int:
    """Return a Unix time in nanoseconds, whatever its unit: its size tells.

    Raises:
        ValueError: it is no whole number.
    """
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name}: expected a Unix time, got {text[:40]!r}")
    value = int(text)
    return int(value * 10 ** (9 - _decimals(value)))


def _unit_name(content: Content) -> str:
    """Return what the times of a file count, by its first row."""
    row = fields_of(second_line(content.head))
    where = columns_of(content.head).index("timestamp")
    time = row[where] if where < len(row) else ""
    return _UNITS[_decimals(int(time))] if time.isdigit() else _UNITS[3]


def _decimals(value: int) -> int:
    """Return the decimals of a second that a Unix time counts: 3 of milliseconds.

    Its size tells which of them makes it a time after 1973; a smaller one is in milliseconds.
    """
    for decimals in (9, 6, 3, 0):
        if value >= 10 ** (8 + decimals):
            return decimals
    return 3
