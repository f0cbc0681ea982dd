"""A book kept from the ``depth`` channel, in integer ticks and lots, and checked as it goes."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from fastbook_wire.checksum import checksum
from fastbook_wire.frames import Checksum, Depth, LevelChange
from fastbook_wire.grid import Grid
from fastbook_wire.words import SideName


class Level(NamedTuple):
    """A price level in the wire's numbers."""

    price: float
    amount: float


class _Side:
    """One side: lots by ticks. O(1) to look up, O(log n) and a move of memory to change."""

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
    """One security's whole book as it stood after ``seq``.

    It is as new as the last frame that has arrived, which may be newer than the event that you are
    looking at. ``is_synced`` is False before the first frame, while there is no connection, and
    from the moment something was found wrong until the book has come anew; it is empty then.
    """

    def __init__(self, security: str, tick_size: float, lot_size: float) -> None:
        self.security = security
        self.tick = Grid.of(tick_size)
        self.lot = Grid.of(lot_size)
        self.seq = 0
        self.time = 0
        self.is_synced = False
        self.checks = 0
        """How many of the server's checksums it has been found equal to."""
        self._asks = _Side(is_bid=False)
        self._bids = _Side(is_bid=True)

    # ---- what it says -------------------------------------------------------------------------

    @property
    def best_bid(self) -> Level | None:
        """The highest price that somebody pays; None: nobody does."""
        return self._best(self._bids)

    @property
    def best_ask(self) -> Level | None:
        """The lowest price that somebody asks; None: nobody does."""
        return self._best(self._asks)

    @property
    def mid(self) -> float | None:
        """The middle of the best prices; None without both."""
        bid, ask = self._bids.best(), self._asks.best()
        if bid is None or ask is None:
            return None
        return self.tick.number(bid + ask) / 2

    def levels(self, side: SideName, count: int | None = None) -> list[Level]:
        """Return the best `count` levels of a side, best first; None: all."""
        return [self._level(*row) for row in self.ticks_and_lots(side, count)]

    def ticks_and_lots(self, side: SideName, count: int | None = None) -> list[tuple[int, int]]:
        """Return the same in integers: multiples of the tick and the lot size."""
        return list(islice(self._side(side).rows(), count))

    def amount_at(self, side: SideName, price: float) -> float:
        """Return what rests at a price; 0.0: nothing."""
        return self.lot.number(self._side(side).lots.get(self.tick.nearest(price), 0))

    def __len__(self) -> int:
        """Return how many levels both sides have."""
        return len(self._asks) + len(self._bids)

    def checksum(self) -> int:
        """Return the checksum of the best levels, as the server would compute it."""
        return checksum(self._asks.rows(), self._bids.rows())

    def copy(self) -> Book:
        """Return a book that stays as this one is now."""
        other = Book.__new__(Book)
        other.__dict__.update(self.__dict__)
        other._asks, other._bids = self._asks.copy(), self._bids.copy()
        return other

    def _side(self, side: SideName) -> _Side:
        return self._bids if side == "bid" else self._asks

    def _best(self, side: _Side) -> Level | None:
        ticks = side.best()
        return None if ticks is None else self._level(ticks, side.lots[ticks])

    def _level(self, ticks: int, lots: int) -> Level:
        return Level(self.tick.number(ticks), self.lot.number(lots))

    # ---- how it is kept -----------------------------------------------------------------------

    def apply(self, frame: Depth) -> str | None:
        """Take a depth frame; return what is wrong with it, after which only a whole book helps.

        Changes are ignored while the whole book is awaited.
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
        """Compare with the server's checksum; return what is wrong, as `apply` does."""
        if not self.is_synced:
            return None
        if frame.seq != self.seq:
            expected = self.seq
            self.lose()
            return f"a depth frame was missed: expected a checksum at {expected}, got {frame.seq}"
        own = self.checksum()
        if own != frame.checksum:
            self.lose()
            return f"the checksum at seq {frame.seq} is {frame.checksum}, that of this book {own}"
        self.checks += 1
        return None

    def lose(self) -> None:
        """Forget everything until the whole book comes."""
        self._asks.clear()
        self._bids.clear()
        self.is_synced = False

    def _set(self, side: _Side, changes: Iterable[LevelChange]) -> None:
        price_units, amount_units = self.tick.nearest, self.lot.nearest
        for change in changes:
            side.set(price_units(change.price), amount_units(change.amount))
