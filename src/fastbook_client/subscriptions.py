"""Handles public frames: local books, gapless trades, events for the mailbox."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from fastbook_client.api import Api
from fastbook_client.book import Book
from fastbook_client.checksum_watch import AskTime, ChecksumWatch, LoopTimers
from fastbook_client.errors import ConnectionClosed, FastbookError
from fastbook_client.events import BookReset
from fastbook_client.fill_tape import FillGap, FillTape
from fastbook_client.mailbox import Mailbox
from fastbook_client.missed_fills import fetch_missed_fills
from fastbook_client.missed_trades import fetch_missed
from fastbook_client.tape import Gap, Tape
from fastbook_wire.frames import (
    Checksum,
    Depth,
    Fills,
    InstrumentView,
    PublicFrame,
    Trades,
)
from fastbook_wire.words import Channel

AnyGap = TypeVar("AnyGap")


class Subscriptions:
    """The public data of a market: its books, trades, fills, tickers and candles.

    `resubscribe` is called with the security of a wrong book and the number of errors since its
    last matching checksum. `on_failure` is called with an exception that prevents what was missed
    or a reset from being queued, such as TooSlow. A book is wrong too after `checksums_missed_max`
    missed checksums (0: never); `timers` (default: the running loop) measure the silence, and
    `ask_time` asks whether time passes for the server too.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        api: Api,
        resubscribe: Callable[[str, int], None],
        on_failure: Callable[[Exception], None],
        ask_time: AskTime,
        checksums_missed_max: int = 0,
        timers: LoopTimers | None = None,
    ) -> None:
        self.books: dict[str, Book] = {}
        self._mailbox = mailbox
        self._api = api
        self._resubscribe = resubscribe
        self._on_failure = on_failure
        self._ask_time = ask_time
        self._checksums_missed_max = checksums_missed_max
        self._timers = timers or asyncio.get_running_loop()
        self._held_max = max(1_000, mailbox.queue_max)
        self._watches: dict[str, ChecksumWatch] = {}
        self._tapes: dict[str, Tape] = {}
        self._fill_tapes: dict[str, FillTape] = {}
        self._gapless: Mapping[Channel, dict[str, Any]] = {
            "book": self._tapes,
            "fills": self._fill_tapes,
        }
        self._syncing: dict[str, asyncio.Future[bool]] = {}
        self._errors: dict[str, int] = {}  # of a book, since its last matching checksum
        self._instruments: dict[str, InstrumentView] = {}

    def connected(self, instruments: Iterable[InstrumentView]) -> None:
        """Start on a new connection with the instruments of its ``welcome``."""
        self._instruments = {i.security: i for i in instruments}
        for security in self.books.keys() & self._instruments.keys():
            instrument = self._instruments[security]
            self.books[security].measure(instrument.tick_size, instrument.lot_size)

    async def until_synced(self, security: str) -> bool:
        """Wait until the whole book of a security has arrived; return False if it will not."""
        if self.book(security).is_synced:
            return True
        waiter = self._syncing.setdefault(security, asyncio.get_running_loop().create_future())
        return await asyncio.shield(waiter)

    def disconnected(self) -> None:
        """Empty the local books and stop fetching; release every caller of `until_synced`."""
        for security in tuple(self._syncing):
            self._release(security, False)
        for security in self.books:
            self._lose(security)
        for tapes in self._gapless.values():
            for tape in tapes.values():
                tape.reopen()

    def subscribed(self, channel: Channel, security: str) -> None:
        """Expect the channel's opening frames; until then a local book is out of date."""
        if channel == "depth":
            self._lose(security)
        elif security in (tapes := self._gapless.get(channel, {})):
            tapes[security].reopen()

    def unsubscribed(self, channel: Channel, security: str) -> None:
        """Drop the state of a channel; who still holds its local book holds an empty one."""
        if channel == "depth":
            self._lose(security)
            self._errors.pop(security, None)
            self._release(security, False)
        elif security in (tapes := self._gapless.get(channel, {})):
            tapes.pop(security).reopen()

    def handle(self, frame: PublicFrame) -> None:
        """Update the local state with a frame and queue its event.

        Raises:
            TooSlow: the mailbox is full.
            ConnectionClosed: the frame is invalid; the connection must be closed.
        """
        match frame:
            case Depth():
                self._apply_depth(frame)
            case Checksum():
                book = self.books.get(frame.security)
                if book is not None:
                    self._check(book, frame)
            case Trades():
                self._tape(frame.security).handle(frame)
            case Fills():
                self._fill_tape(frame.security).handle(frame)
            case _:
                self._mailbox.put(frame)

    def book(self, security: str) -> Book:
        """Return the local book of a security; empty if no depth frame has arrived yet."""
        book = self.books.get(security)
        if book is None:
            instrument = self._instruments[security]
            book = Book(security, instrument.tick_size, instrument.lot_size)
            self.books[security] = book
            self._watches[security] = ChecksumWatch(
                self._timers,
                self._checksums_missed_max,
                lambda reason: self._silent(book, reason),
                self._ask_time,
            )
        return book

    def _lose(self, security: str) -> None:
        if security in self.books:
            self.books[security].lose()
            self._watches[security].stop()

    def _apply_depth(self, frame: Depth) -> None:
        if frame.security not in self._instruments:
            raise ConnectionClosed(1002, f"depth frame of unknown security {frame.security!r}")
        book = self.book(frame.security)
        try:
            failure = book.apply(frame)
        except ArithmeticError as error:
            raise ConnectionClosed(1002, f"depth frame of {frame.security!r}: {error}") from None
        self._repair(book, failure)
        if book.is_synced:
            if frame.prev_seq is None:
                self._watches[frame.security].heard()
            self._release(frame.security, True)
            self._mailbox.put(frame)

    def _release(self, security: str, is_synced: bool) -> None:
        """Let the callers of `until_synced` go on."""
        waiter = self._syncing.pop(security, None)
        if waiter is not None:
            waiter.set_result(is_synced)

    def _check(self, book: Book, frame: Checksum) -> None:
        checks = book.checks
        self._repair(book, book.check(frame))
        if book.checks > checks:
            self._errors.pop(book.security, None)
            self._watches[book.security].heard()

    def _repair(self, book: Book, error: str | None) -> None:
        if error is not None:
            self._watches[book.security].stop()
            times = self._errors[book.security] = self._errors.get(book.security, 0) + 1
            self._mailbox.put(BookReset(book.security, error))
            self._resubscribe(book.security, times)

    def _silent(self, book: Book, reason: str) -> None:
        """Lose a book on a silent line; the request for it waits until the line is back."""
        book.lose()
        try:
            self._mailbox.put(BookReset(book.security, reason))
        except FastbookError as error:
            self._on_failure(error)
        else:
            self._resubscribe(book.security, 1)  # at once: each silence has lasted seconds

    # ---- missed trades and fills --------------------------------------------------------------

    def _tape(self, security: str) -> Tape:
        async def fill(gap: Gap) -> None:
            self._tapes[security].filled(await fetch_missed(self._api, security, gap))

        tape = self._tapes.get(security)
        if tape is None:
            tape = Tape(security, self._mailbox.put, self._starting(fill), self._held_max)
            self._tapes[security] = tape
        return tape

    def _fill_tape(self, security: str) -> FillTape:
        async def fill(gap: FillGap) -> None:
            self._fill_tapes[security].filled(await fetch_missed_fills(self._api, security, gap))

        tape = self._fill_tapes.get(security)
        if tape is None:
            tape = FillTape(security, self._mailbox.put, self._starting(fill), self._held_max)
            self._fill_tapes[security] = tape
        return tape

    def _starting(
        self, fill: Callable[[AnyGap], Awaitable[None]]
    ) -> Callable[[AnyGap], Callable[[], object]]:
        """Return what starts to fill a gap, and returns how to stop that."""

        async def guarded(gap: AnyGap) -> None:
            try:
                await fill(gap)
            except Exception as error:  # noqa: BLE001 (passed on: nobody awaits this task)
                self._on_failure(error)

        return lambda gap: asyncio.create_task(guarded(gap), name="what was missed").cancel
