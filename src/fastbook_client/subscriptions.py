"""What public frames become: local books, tapes without gaps, events in the mailbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from fastbook_client.api import BUSY, Api
from fastbook_client.backoff import Backoff
from fastbook_client.book import Book
from fastbook_client.errors import ConnectError, ConnectionClosed, Refused
from fastbook_client.events import BookReset
from fastbook_client.mailbox import Mailbox
from fastbook_client.tape import Tape
from fastbook_wire.frames import (
    Checksum,
    Depth,
    InstrumentView,
    PublicFrame,
    Trades,
    TradeView,
)
from fastbook_wire.queries import LIMIT_MAX

PAGE_FIRST = 100
"""Trades of the first page that is asked for: most gaps are small. Later pages are larger."""
PAGE_LEAST = 10
"""What pages shrink to while answers get lost: short ones come through bad lines more often."""
PATIENCE = Backoff(first_s=0.05, max_s=2.0)
"""Of asking for a gap's trades: as long as the connection is there."""
GAP_TRADES_MAX = 100_000
"""How many missed trades are fetched; older ones are told of, not fetched."""


class Subscriptions:
    """The public side of a market.

    `resubscribe` is called with the security of a wrong book, and how often it has been wrong since
    a checksum was right.

    `failed` is called with what a gap's trades could not be taken for: the user is too slow.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        api: Api,
        resubscribe: Callable[[str, int], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.books: dict[str, Book] = {}
        self._mailbox = mailbox
        self._api = api
        self._resubscribe = resubscribe
        self._failed = failed
        self._tapes: dict[str, Tape] = {}
        self._syncing: dict[str, asyncio.Future[None]] = {}
        self._wrong: dict[str, int] = {}
        self._fetching: dict[str, asyncio.Task[None]] = {}
        self._instruments: dict[str, InstrumentView] = {}

    def meet(self, instruments: Iterable[InstrumentView]) -> None:
        """Take what is traded from a ``welcome``; every channel starts again."""
        self._instruments = {i.security: i for i in instruments}
        for tape in self._tapes.values():
            tape.reopen()

    async def until_synced(self, security: str) -> None:
        """Wait for the whole book of a security, or for the loss of the connection."""
        waiter = self._syncing.setdefault(security, asyncio.get_running_loop().create_future())
        if not self.book(security).is_synced:
            await asyncio.shield(waiter)

    def lost(self) -> None:
        """Note that no frame comes any more."""
        self._synced(*self._syncing)
        for book in self.books.values():
            book.lose()
        for task in self._fetching.values():
            task.cancel()
        self._fetching.clear()

    def starts(self, channel: str, security: str) -> None:
        """Expect a channel's first frame, as after ``subscribed``."""
        if channel == "book" and security in self._tapes:
            self._stop_fetching(security)
            self._tapes[security].reopen()

    def ends(self, channel: str, security: str) -> None:
        """Forget a channel that is not followed any more."""
        if channel == "depth":
            self.books.pop(security, None)
            self._wrong.pop(security, None)
            self._synced(security)
        elif channel == "book":
            self._tapes.pop(security, None)
            self._stop_fetching(security)

    def take(self, frame: PublicFrame) -> None:
        """Take a frame.

        Raises:
            TooSlow: there is no more room for unread events.
        """
        match frame:
            case Depth():
                self._take_depth(frame)
            case Checksum():
                book = self.books.get(frame.security)
                if book is not None:
                    self._check(book, frame)
            case Trades():
                self._tape(frame.security).take(frame)
            case _:
                self._mailbox.put(frame)

    def book(self, security: str) -> Book:
        """Return the local book of a security, empty if nothing has come yet."""
        book = self.books.get(security)
        if book is None:
            instrument = self._instruments[security]
            book = Book(security, instrument.tick_size, instrument.lot_size)
            self.books[security] = book
        return book

    def _take_depth(self, frame: Depth) -> None:
        if frame.security not in self._instruments:
            raise ConnectionClosed(1002, f"depth of {frame.security!r}, which is not traded")
        book = self.book(frame.security)
        try:
            wrong = book.apply(frame)
        except ArithmeticError as error:
            raise ConnectionClosed(1002, f"depth of {frame.security!r}: {error}") from None
        self._mend(book, wrong)
        if book.is_synced:
            self._synced(frame.security)
            self._mailbox.put(frame)

    def _synced(self, *securities: str) -> None:
        for security in securities:
            waiter = self._syncing.pop(security, None)
            if waiter is not None:
                waiter.set_result(None)

    def _check(self, book: Book, frame: Checksum) -> None:
        checks = book.checks
        self._mend(book, book.check(frame))
        if book.checks > checks:
            self._wrong.pop(book.security, None)

    def _mend(self, book: Book, wrong: str | None) -> None:
        if wrong is not None:
            times = self._wrong[book.security] = self._wrong.get(book.security, 0) + 1
            self._mailbox.put(BookReset(book.security, wrong))
            self._resubscribe(book.security, times)

    # ---- trades that were missed --------------------------------------------------------------

    def _tape(self, security: str) -> Tape:
        tape = self._tapes.get(security)
        if tape is None:

            def ask(after: int | None, before: int) -> None:
                fetching = self._fetch(security, after, before)
                self._fetching[security] = asyncio.create_task(fetching, name="missed trades")

            held_max = max(1_000, self._mailbox.queue_max)
            tape = self._tapes[security] = Tape(security, self._mailbox.put, ask, held_max)
        return tape

    def _stop_fetching(self, security: str) -> None:
        task = self._fetching.pop(security, None)
        if task is not None:
            task.cancel()

    async def _fetch(self, security: str, after: int | None, before: int) -> None:
        """Get the trades between two, and give them to the tape."""
        try:
            trades, missing = await fetch_between(self._api, security, after, before)
            del self._fetching[security]
            self._tapes[security].filled(trades, before, missing)
        except Exception as error:  # noqa: BLE001 (handed on: nobody awaits this task)
            self._failed(error)


async def fetch_between(
    api: Api, security: str, after: int | None, before: int
) -> tuple[list[TradeView], str | None]:
    """Return the trades between two ``seq``, oldest first, and why older ones are missing, if so.

    `after` None: all there have been before `before`.
    """
    pages: list[list[TradeView]] = []
    count = 0
    missing = None
    limit = PAGE_FIRST
    failures = 0
    while True:
        try:
            page = await api.trades_page(security, before, limit)
        except ConnectError as error:
            failures += 1
            delay_s = PATIENCE.delay_s(failures)
            if delay_s is None or (isinstance(error, Refused) and error.status not in BUSY):
                missing = f"/api/trades does not tell: {error}"
                break
            limit = max(PAGE_LEAST, limit // 2)
            await asyncio.sleep(delay_s)
            continue
        failures = 0
        new = [trade for trade in page.trades if after is None or trade.seq > after]
        pages.append(new)
        count += len(new)
        if len(new) < len(page.trades) or (after is None and not page.more):
            break
        if not page.more or not page.trades:
            missing = "the server's history does not go back so far"
            break
        if count >= GAP_TRADES_MAX:
            missing = f"more than {GAP_TRADES_MAX} trades were missed"
            break
        before = page.trades[0].seq
        limit = min(2 * limit, LIMIT_MAX)
    return [trade for page in reversed(pages) for trade in page], missing
