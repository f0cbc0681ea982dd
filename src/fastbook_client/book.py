"""A local book built from the ``depth`` channel, in integer ticks and lots, and verified."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from fastbook_client import arguments
from fastbook_client.arguments import AnySide, Number
from fastbook_wire.checksum import checksum
from fastbook_wire.frames import Checksum, Depth, LevelChange
from fastbook_wire.grid import Grid


class Level(NamedTuple):
    """A price level, as the wire's price and amount."""

    price: float
    amount: float


class _Side:
    """One side: lots by ticks. Lookup is O(1); adding or removing one of n levels is O(n)."""

    __slots__ = ("_is_bid", "_ticks", "lots")

    def __init__(self, is_bid: bool) -> None:
        self.lots: dict[int, int] = {}
        self._ticks: list[int] = []  # ascending
        self._is_bid = is_bid

    def set(self, ticks: int, lots: int) -> None:
        if lots:
            if ticks not in self.lots:
                insort(self._ticks, ticks)
            self.lots[ticks] = lots
        elif self.lots.pop(ticks, None) is not None:
            del self._ticks[bisect_left(self._ticks, ticks)]

    def copy(self) -> _Side:
        other = _Side(self._is_bid)
        other.lots, other._ticks = dict(self.lots), list(self._ticks)
        return other

    def clear(self) -> None:
        self.lots.clear()
        self._ticks.clear()

    def best(self) -> int | None:
        if not self._ticks:
            return None
        return self._ticks[-1] if self._is_bid else self._ticks[0]

    def rows(self) -> Iterator[tuple[int, int]]:
        """Iterate over (ticks, lots), best first."""
        lots = self.lots
        return ((t, lots[t]) for t in (reversed(self._ticks) if self._is_bid else self._ticks))

    def __len__(self) -> int:
        return len(self._ticks)


class Book:
    """The complete book of one security after command ``seq``; ``time`` is in Unix ms.

    It reflects the last frame received, which may be newer than the event being handled.
    ``is_synced`` is False, and the book empty, whenever it is not known to be current: before the
    first frame, while disconnected or unsubscribed, after the end of the market, and from a
    detected error or silence until the whole book has been received again.

    The event loop changes it between two events, so read it in the loop's thread; other threads
    read a `copy`.
    """

    def __init__(self, security: str, tick_size: float, lot_size: float) -> None:
        self.security = security
        self.measure(tick_size, lot_size)
        self.seq = 0
        self.time = 0
        self.is_synced = False
        self.checks = 0
        """Number of the server's checksums that this book has matched."""
        self._asks = _Side(is_bid=False)
        self._bids = _Side(is_bid=True)

    # ---- reading ------------------------------------------------------------------------------

    @property
    def best_bid(self) -> Level | None:
        """The highest bid; None if there are no bids."""
        return self._best(self._bids)

    @property
    def best_ask(self) -> Level | None:
        """The lowest ask; None if there are no asks."""
        return self._best(self._asks)

    @property
    def mid(self) -> float | None:
        """The midpoint of the best bid and the best ask; None unless both exist."""
        bid, ask = self._bids.best(), self._asks.best()
        if bid is None or ask is None:
            return None
        return self.tick.number(bid + ask) / 2

    def levels(self, side: AnySide, count: int | None = None) -> list[Level]:
        """Return the best `count` levels of a side (None: all), best first.

        A side is ``bid`` (or ``buy``) or ``ask`` (or ``sell``), here as everywhere.
        """
        return [self._level(*row) for row in self.ticks_and_lots(side, count)]

    def ticks_and_lots(self, side: AnySide, count: int | None = None) -> list[tuple[int, int]]:
        """Like `levels`, in integers: (ticks, lots)."""
        if count is not None:
            arguments.integer("count", count, least=0)
        return list(islice(self._side(side).rows(), count))

    def amount_at(self, side: AnySide, price: Number) -> float:
        """Return the amount at a price, 0.0 if there is none. O(1)."""
        ticks = self.tick.nearest(arguments.number("price", price))
        return self.lot.number(self._side(side).lots.get(ticks, 0))

    def __len__(self) -> int:
        """Return the number of levels on both sides."""
        return len(self._asks) + len(self._bids)

    def checksum(self) -> int:
        """Return the checksum of the best levels, computed as the server does."""
        return checksum(self._asks.rows(), self._bids.rows())

    def copy(self) -> Book:
        """Return an independent copy as of now: neither frames nor losses change it any more."""
        other = Book.__new__(Book)
        other.__dict__.update(self.__dict__)
        other._asks, other._bids = self._asks.copy(), self._bids.copy()
        return other

    def _side(self, side: AnySide) -> _Side:
        return self._bids if arguments.side_of(side) == "bid" else self._asks

    def _best(self, side: _Side) -> Level | None:
        ticks = side.best()
        return None if ticks is None else self._level(ticks, side.lots[ticks])

    def _level(self, ticks: int, lots: int) -> Level:
        return Level(self.tick.number(ticks), self.lot.number(lots))

    # ---- updating -----------------------------------------------------------------------------

    def apply(self, frame: Depth) -> str | None:
        """Apply a depth frame; return an error message if it does not follow the previous one.

        After an error the book is empty, and changes are ignored until a whole book arrives.
        """
        if frame.prev_seq is None:
            self._asks.clear()
            self._bids.clear()
            self.is_synced = True
        elif not self.is_synced:
            return None
        elif frame.prev_seq != self.seq:
            expected = self.seq
            self.lose()
            return f"a depth frame was missed: expected prevSeq {expected}, got {frame.prev_seq}"
        self._set(self._asks, frame.ask)
        self._set(self._bids, frame.bid)
        self.seq, self.time = frame.seq, frame.time
        return None

    def check(self, frame: Checksum) -> str | None:
        """Compare the book with the server's checksum; return an error message as `apply` does."""
        if not self.is_synced:
            return None
        if frame.seq != self.seq:
            expected = self.seq
            self.lose()
            return (
                f"a depth frame was missed: expected a checksum at seq {expected}, got {frame.seq}"
            )
        own = self.checksum()
        if own != frame.checksum:
            self.lose()
            return f"checksum at seq {frame.seq}: expected {frame.checksum}, got {own}"
        self.checks += 1
        return None

    def measure(self, tick_size: float, lot_size: float) -> None:
        """Set the grids of an empty book: a server may restart with others."""
        self.tick = Grid.of(tick_size)
        self.lot = Grid.of(lot_size)

    def lose(self) -> None:
        """Empty the book until a whole one arrives."""
        self._asks.clear()
        self._bids.clear()
        self.is_synced = False

    def _set(self, side: _Side, changes: Iterable[LevelChange]) -> None:
        price_units, amount_units = self.tick.nearest, self.lot.nearest
        for change in changes:
            side.set(price_units(change.price), amount_units(change.amount))
