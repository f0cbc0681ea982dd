"""Joins the executions that one aggressor caused, where the feed does not name it."""

from __future__ import annotations

from typing import Any

from fastbook_cli.replay.venue_book import OPPOSITE, VenueBook
from fastbook_wire.words import SideName


class Executions:
    """Executions of one side at one time, best price first, are those of one aggressor.

    `flush` before anything else happens to the book.
    """

    def __init__(self, book: VenueBook) -> None:
        self._book = book
        self._fills: list[tuple[str, Any, Any]] = []
        self._side: SideName = "bid"
        self._time_ns = 0
        self._line = 0

    def add(self, side: SideName, maker: str, price: Any, amount: Any) -> None:
        """So much of an order that rests on `side` was executed, now."""
        book = self._book
        if self._fills and (
            side != self._side
            or book.time_ns != self._time_ns
            or (price < self._fills[-1][1] if side == "ask" else price > self._fills[-1][1])
        ):
            self.flush()
        if not self._fills:
            self._side, self._time_ns, self._line = side, book.time_ns, book.line
        self._fills.append((maker, price, amount))

    def flush(self) -> None:
        """Let the aggressor come, if there was one."""
        if self._fills:
            book = self._book
            fills, self._fills = self._fills, []
            line, time_ns = book.line, book.time_ns
            book.line, book.time_ns = self._line, self._time_ns
            book.trade(OPPOSITE[self._side], fills)
            book.line, book.time_ns = line, time_ns
