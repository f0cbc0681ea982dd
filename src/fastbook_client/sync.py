"""The client library without ``async``: the same market, with blocking methods.

::

    with fastbook_client.sync.connect("http://127.0.0.1:8080") as market:
        order = market.limit("bid", 99.5, 2)
        for event in market.events(timeout_s=1.0):
            print(event)

An event loop in a background thread keeps the connection alive while the program computes. A market
may be used from several threads. A thread that reads events gets those that follow the reply to a
command once the call has returned to the thread that made it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack

from fastbook_client import arguments
from fastbook_client import market as asynchronous
from fastbook_client.arguments import AnySide, Number
from fastbook_client.book import Book
from fastbook_client.errors import ConnectionClosed, FastbookError
from fastbook_client.events import Event, OrderState
from fastbook_client.options import ConnectOptions
from fastbook_client.sync_history import BlockingHistory
from fastbook_wire.commands import NewOrder, OrderCommand
from fastbook_wire.frames import (
    CancelAfterSet,
    EndedOrders,
    InstrumentView,
    OrderFrame,
    OrderView,
    OwnFills,
    Welcome,
)
from fastbook_wire.words import Channel, SelfTradeName, TimeInForceName

Result = TypeVar("Result")


def connect(url: str | Sequence[str], **options: Unpack[ConnectOptions]) -> Market:
    """Return a `Market` to open with ``with``; options are those of `fastbook_client.connect`."""
    return Market(asynchronous.connect(url, **options))


class Market(BlockingHistory):
    """The blocking form of `fastbook_client.Market`, with the same methods and exceptions.

    Leaving the ``with`` block ends calls that other threads are waiting for, usually with
    ConnectionClosed.
    """

    def __init__(self, market: asynchronous.Market) -> None:
        self._market = market
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()  # of `_loop`: work is submitted, or the loop is stopped
        self._was_open = False
        self._returning: list[threading.Event] = []  # calls whose result another thread takes

    def __enter__(self) -> Self:
        with self._lock:
            if self._loop is not None:
                raise FastbookError("the market is already open")
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_run_loop, args=(self._loop,), name="fastbook_client", daemon=True
            )
            self._thread.start()
        try:
            self._wait(self._market.__aenter__())
            self._was_open = True
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._wait(self._market.__aexit__(kind, error, trace))
        finally:
            self._stop()

    def _stop(self) -> None:
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()

    def _wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run `work` in the loop and return its result; an interrupt (Ctrl-C) cancels it."""
        returned = threading.Event()
        with self._lock:
            if self._loop is None:
                work.close()
                if self._was_open:
                    raise ConnectionClosed(1000, "closed by the client")
                raise FastbookError("not open: use `with connect(...) as market`")
            future = asyncio.run_coroutine_threadsafe(self._run(work, returned), self._loop)
        try:
            return future.result()
        except CancelledError:
            raise ConnectionClosed(1000, "closed by the client") from None
        finally:
            future.cancel()
            returned.set()

    async def _run(self, work: Coroutine[Any, Any, Result], returned: threading.Event) -> Result:
        try:
            return await work
        finally:
            self._returning = [call for call in self._returning if not call.is_set()]
            self._returning.append(returned)

    # ---- identity -----------------------------------------------------------------------------

    @property
    def welcome(self) -> Welcome:
        """The ``welcome`` frame of the current or latest connection."""
        return self._market.welcome

    @property
    def url(self) -> str:
        """The server in use, ``http://HOST:PORT``; without a connection, the latest."""
        return self._market.url

    @property
    def user_id(self) -> str:
        """The id of this user."""
        return self._market.user_id

    @property
    def resume_token(self) -> str:
        """The secret that lets another `connect` resume this user."""
        return self._market.resume_token

    @property
    def security(self) -> str:
        """The security that methods use unless they are given another."""
        return self._market.security

    @property
    def instruments(self) -> dict[str, InstrumentView]:
        """All instruments, by the name of their security."""
        return self._market.instruments

    @property
    def is_connected(self) -> bool:
        """Whether a command can be sent now."""
        return self._market.is_connected

    # ---- events -------------------------------------------------------------------------------

    def next(self, timeout_s: float | None = None) -> Event:
        """Return the next event.

        Raises:
            TimeoutError: no event arrived within `timeout_s` seconds; no event is lost.
            ConnectionClosed: the connection has ended for good.
        """
        event = self._take(timeout_s)
        if event is None:
            raise ConnectionClosed(1000, "closed by the client")
        return event

    def _take(self, timeout_s: float | None) -> Event | None:
        """Return the next event, once every call that it follows has returned; None: the end."""
        event, before = self._wait(self._next(timeout_s))
        for call in before:
            call.wait()
        return event

    async def _next(self, timeout_s: float | None) -> tuple[Event | None, list[threading.Event]]:
        async with asyncio.timeout(arguments.timeout(timeout_s)):
            event = await anext(self._market, None)
        return event, self._returning

    def __iter__(self) -> Iterator[Event]:
        return self.events()

    def events(self, timeout_s: float | None = None) -> Iterator[Event]:
        """Iterate over the events; ends when none arrives within `timeout_s` seconds."""
        while True:
            try:
                event = self._take(timeout_s)
            except TimeoutError:
                return
            if event is None:
                return
            yield event

    def subscribe(self, channel: Channel, security: str | None = None) -> None:
        """Subscribe to a channel of a security; the subscription survives reconnects."""
        self._wait(self._market.subscribe(channel, security))

    def unsubscribe(self, channel: Channel, security: str | None = None) -> None:
        """Unsubscribe from a channel of a security."""
        self._wait(self._market.unsubscribe(channel, security))

    def book(self, security: str | None = None) -> Book:
        """Return a copy of the local book as of now, which nothing changes any more."""
        return self._wait(self._book(security))

    async def _book(self, security: str | None) -> Book:
        return self._market.book(security).copy()

    # ---- orders -------------------------------------------------------------------------------

    def limit(
        self,
        side: AnySide,
        price: Number,
        amount: Number,
        *,
        time_in_force: TimeInForceName | None = None,
        expire_time: int | None = None,
        display: Number | None = None,
        post_only: bool = False,
        client_order_id: str | None = None,
        self_trade: SelfTradeName | None = None,
        security: str | None = None,
    ) -> OrderState:
        """Place a limit order; see `fastbook_client.Market.limit`."""
        return self._wait(
            self._market.limit(
                side,
                price,
                amount,
                time_in_force=time_in_force,
                expire_time=expire_time,
                display=display,
                post_only=post_only,
                client_order_id=client_order_id,
                self_trade=self_trade,
                security=security,
            )
        )

    def market(
        self,
        side: AnySide,
        amount: Number | None = None,
        *,
        total: Number | None = None,
        time_in_force: Literal["ioc", "fok"] | None = None,
        client_order_id: str | None = None,
        self_trade: SelfTradeName | None = None,
        security: str | None = None,
    ) -> OrderState:
        """Place a market order; see `fastbook_client.Market.market`."""
        return self._wait(
            self._market.market(
                side,
                amount,
                total=total,
                time_in_force=time_in_force,
                client_order_id=client_order_id,
                self_trade=self_trade,
                security=security,
            )
        )

    def stop(
        self,
        side: AnySide,
        trigger_price: Number,
        amount: Number,
        *,
        price: Number | None = None,
        takes_profit: bool = False,
        time_in_force: TimeInForceName | None = None,
        expire_time: int | None = None,
        display: Number | None = None,
        post_only: bool = False,
        client_order_id: str | None = None,
        self_trade: SelfTradeName | None = None,
        security: str | None = None,
    ) -> OrderState:
        """Place a stop or stop-limit order; see `fastbook_client.Market.stop`."""
        return self._wait(
            self._market.stop(
                side,
                trigger_price,
                amount,
                price=price,
                takes_profit=takes_profit,
                time_in_force=time_in_force,
                expire_time=expire_time,
                display=display,
                post_only=post_only,
                client_order_id=client_order_id,
                self_trade=self_trade,
                security=security,
            )
        )

    def amend(
        self,
        order: OrderView | OrderFrame | str | None = None,
        *,
        client_order_id: str | None = None,
        price: Number | None = None,
        amount: Number | None = None,
        new_client_order_id: str | None = None,
    ) -> OrderState:
        """Change an open order; see `fastbook_client.Market.amend`."""
        return self._wait(
            self._market.amend(
                order,
                client_order_id=client_order_id,
                price=price,
                amount=amount,
                new_client_order_id=new_client_order_id,
            )
        )

    def cancel(
        self,
        order: OrderView | OrderFrame | str | None = None,
        *,
        client_order_id: str | None = None,
    ) -> OrderState:
        """Cancel an open order; return its final state."""
        return self._wait(self._market.cancel(order, client_order_id=client_order_id))

    def cancel_all(self, security: str | None = None, *, side: AnySide | None = None) -> int:
        """Cancel all open orders, or only those of `security`, of `side`; return how many."""
        return self._wait(self._market.cancel_all(security, side=side))

    def submit(
        self, commands: Iterable[NewOrder | OrderCommand]
    ) -> list[OrderState | int | FastbookError]:
        """Send 1 to 100 commands in one frame; see `fastbook_client.Market.submit`."""
        return self._wait(self._market.submit(commands))

    def cancel_after(self, seconds: Number) -> CancelAfterSet:
        """Have all open orders cancelled in `seconds`, unless it is called again; 0: never."""
        return self._wait(self._market.cancel_after(seconds))

    def orders(self) -> tuple[OrderView, ...]:
        """Return the open orders of all securities, oldest first."""
        return self._wait(self._market.orders())

    def fills(
        self,
        security: str | None = None,
        *,
        since: int | None = None,
        before: int | None = None,
        limit: int = 100,
    ) -> OwnFills:
        """Return a page of this user's own fills, oldest first, from all its connections."""
        page = self._market.fills(security, since=since, before=before, limit=limit)
        return self._wait(page)

    def ended_orders(
        self, security: str | None = None, *, before: str | None = None, limit: int = 100
    ) -> EndedOrders:
        """Return a page of this user's orders that have ended, from all its connections."""
        return self._wait(self._market.ended_orders(security, before=before, limit=limit))

    def order(
        self,
        order: OrderView | OrderFrame | str | None = None,
        *,
        client_order_id: str | None = None,
    ) -> OrderState:
        """Return the state of an order, open or ended."""
        return self._wait(self._market.order(order, client_order_id=client_order_id))

    def outcome(self, client_order_id: str) -> OrderState | None:
        """Return the state of an order that raised Unanswered, or None if it never arrived."""
        return self._wait(self._market.outcome(client_order_id))

    def ping(self) -> int:
        """Check that the server is alive; return its time in Unix milliseconds."""
        return self._wait(self._market.ping())


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, then cancel the tasks left in it and close it."""
    try:
        loop.run_forever()
        loop.run_until_complete(_cancel_all())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()


async def _cancel_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
