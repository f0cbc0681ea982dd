"""The object that the fixture yields: a fresh exchange server under a test's control."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from fastbook_server.testing import truth
from fastbook_server.testing.binance_account import BinanceAccount
from fastbook_server.testing.clock import Clock
from fastbook_server.testing.core import Core
from fastbook_server.testing.counterparty import Counterparty
from fastbook_server.testing.log import Log
from fastbook_server.testing.settings import ServerSettings
from fastbook_server.testing.truth import StoredBook
from fastbook_server.values.instruments import default_security
from fastbook_wire.commands import ExchangeCommand
from fastbook_wire.frames import DeletedAll, OrderFrame, OrderView, OwnFillView, TradeView

if TYPE_CHECKING:
    from fastbook_server.testing.replay import Replay

T = TypeVar("T")

WAIT_S = 10.0
POLL_S = 0.01
LOG_LINES = 40


class Client:
    """A connection of a bot, open or past; ``sent`` and ``got`` are its frames, decoded."""

    def __init__(self, log: Log, number: int, user_id: str, is_open: bool) -> None:
        self._log = log
        self.number = number
        self.user_id = user_id
        self.is_open = is_open

    @property
    def sent(self) -> list[dict[str, Any]]:
        """The frames it has sent so far."""
        return self._frames("sent")

    @property
    def got(self) -> list[dict[str, Any]]:
        """The frames it has received so far."""
        return self._frames("got")

    def _frames(self, direction: str) -> list[dict[str, Any]]:
        mine = (e for e in self._log if (e.client, e.direction) == (self.number, direction))
        return [msgspec.json.decode(e.text) for e in mine]

    def __repr__(self) -> str:
        return f"<client {self.number} {self.user_id} {'open' if self.is_open else 'gone'}>"


class FastbookServer:
    """An exchange server with its clock, its log and its faults, on a store in memory.

    You can call every method from any thread. No method takes longer than the server's own work,
    except those that wait for the bot (``wait_for…``), so async tests may call them directly. To
    wait in an async test, await the methods of ``aio`` instead.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._core = core = Core(settings)
        self._counterparties: dict[str, Counterparty] = {}
        self.clock = Clock(core.thread, core.timers, core.settled)
        self.faults = core.faults
        self.log = core.log
        self.aio = Aio(self)

    # ---- lifecycle ----------------------------------------------------------------------------

    def start(self) -> None:
        """Start serving; after a stop, on the same port and data with the next epoch."""
        self._core.start()

    def stop(self, *, crash: bool = False) -> None:
        """Stop serving: close the clients with 1001, or with `crash` cut them off."""
        self._core.stop(crash=crash)

    def restart(self, *, crash: bool = False) -> None:
        """Stop and start again: same port, same orders, next epoch; resume tokens stay valid."""
        self.stop(crash=crash)
        self.start()

    def close(self) -> None:
        """Stop the server and its thread for good; the fixture calls this."""
        self._core.close()

    @property
    def port(self) -> int:
        """The port on 127.0.0.1."""
        return self._core.config.port

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """``ws://127.0.0.1:PORT/ws``."""
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def epoch(self) -> int:
        """How many times the server has been started."""
        return self._core.data.epoch

    @property
    def security(self) -> str:
        """The first instrument: the default of every method here, as on the wire."""
        return default_security(self._core.config.instruments)

    # ---- the others ---------------------------------------------------------------------------

    def counterparty(self, name: str = "maker", security: str | None = None) -> Counterparty:
        """Return the participant of this name; `security` is its default security."""
        key = f"{name} {security or self.security}"
        if key not in self._counterparties:
            made = Counterparty(self, name, security or self.security)
            self._counterparties[key] = made
        return self._counterparties[key]

    def fill_book(
        self,
        mid: float,
        *,
        levels: int = 5,
        amount: float = 1.0,
        step: float | None = None,
        spread: float | None = None,
        by: str = "ladder",
        security: str | None = None,
    ) -> Counterparty:
        """Place `levels` orders of `amount` on each side of `mid`; return their owner.

        `step` (default: one tick) separates two levels, `spread` (default: two ticks) the best two.
        """
        maker = self.counterparty(by, security)
        specs = {i.security: i for i in self._core.config.instruments}
        tick = Decimal(specs[maker.security].tick.step)
        between = tick if step is None else Decimal(repr(step))
        half = tick if spread is None else Decimal(repr(spread)) / 2
        for n in range(levels):
            away = half + n * between
            maker.ask(float(Decimal(repr(mid)) + away), amount)
            maker.bid(float(Decimal(repr(mid)) - away), amount)
        return maker

    def binance_account(self, **balances: float | str) -> BinanceAccount:
        """Return a new account with these balances, for bots that speak to Binance.

        Raises:
            ValueError: the server was not told to, with ``binance=True``, or an amount is none.
        """
        amounts = {asset: format(Decimal(str(amount)), "f") for asset, amount in balances.items()}
        account = self._core.add_account(amounts)
        at = f"127.0.0.1:{self.port}/binance"
        keys = (account.name, account.key, account.secret)
        return BinanceAccount(*keys, f"http://{at}", f"ws://{at}")

    def script(
        self, actions: Iterable[tuple[float, Callable[[Counterparty], Any]]], by: str = "maker"
    ) -> None:
        """Schedule actions of a counterparty: ``[(0.5, lambda m: m.buy(1)), …]``."""
        self.counterparty(by).script(actions)

    def replay(
        self,
        path: str | Path,
        *,
        symbol: str | None = None,
        security: str | None = None,
        speed: float = 1.0,
        start_s: float = 0.0,
    ) -> Replay:
        """Let a recorded market happen as the clock moves; see ``fastbook replay`` for its formats.

        Its orders are placed at their times, the first one now. What happened in its first
        `start_s` seconds happens at once. `symbol` is needed if the file holds several securities;
        `security` is the instrument to trade in, whose tick and lot must fit.

        Raises:
            RecordingError: the file cannot be replayed.
            ValueError: tick or lot of the instrument do not fit, or the clock runs in real time.
        """
        # Imported here: few tests need it, and every run of pytest would pay for it.
        from fastbook_server.testing.replay import Replay, opened

        name = security or self.security
        spec = next(i for i in self._core.config.instruments if i.security == name)
        recording = opened(path, symbol, spec)
        replay = Replay(self, recording, name, speed=speed, start_s=start_s)
        self._core.listen(replay.on_batch)
        replay.begin()
        return replay

    def submit(self, user_id: str, commands: Sequence[ExchangeCommand]) -> None:
        """Execute commands of a user without a connection; nobody is told of the replies."""
        self._core.submit(user_id, commands)

    def command(self, user_id: str, command: ExchangeCommand) -> OrderFrame | DeletedAll:
        """Execute a command of a counterparty; the methods of `Counterparty` are easier to call."""
        return self._core.command(user_id, command)

    # ---- the stored state ---------------------------------------------------------------------

    def book(self, security: str | None = None) -> StoredBook:
        """Return the whole stored book."""
        return self._core.read(lambda data: truth.book(data, security or self.security))

    def trades(self, security: str | None = None) -> list[TradeView]:
        """Return all stored trades, oldest first."""
        return self._core.read(lambda data: truth.trades(data, security or self.security))

    def orders_of(self, user_id: str) -> list[OrderView]:
        """Return a user's stored open orders, oldest first."""
        return self._core.read(lambda data: truth.orders(data, user_id))

    def fills_of(self, user_id: str, security: str | None = None) -> list[OwnFillView]:
        """Return all stored fills of a user's orders, oldest first: the truth about a position."""
        return self._core.fills(user_id, security or self.security)

    @property
    def clients(self) -> list[Client]:
        """All connections so far, open or past, in the order in which they were opened."""
        is_open = self._core.open_clients()
        users: dict[int, str] = {}
        for entry in self.log:
            if entry.client:
                users[entry.client] = entry.user_id or users.get(entry.client, "")
        return [Client(self.log, n, users[n], n in is_open) for n in sorted(users)]

    @property
    def connected(self) -> list[Client]:
        """The clients that are connected now and have received ``welcome``."""
        return [c for c in self.clients if c.is_open and c.user_id]

    # ---- waiting and asserting ----------------------------------------------------------------

    def settle(self) -> None:
        """Return when everything clients have sent is committed and every client has been told."""
        self._core.settle()

    def wait_for(
        self, condition: Callable[[], T], message: str = "", *, timeout_s: float = WAIT_S
    ) -> T:
        """Wait until `condition` is true; return its value. An AssertionError counts as "not yet".

        Raises:
            AssertionError: `timeout_s` seconds of real time are over; the message shows the state.
            RuntimeError: called from an event loop, which may be the bot's: use ``aio``.
        """
        __tracebackhide__ = True
        _refuse_in_a_loop("wait_for")
        waiter = _Waiter(self, condition, message, timeout_s)
        while True:
            seen = self.log.changes
            if waiter.is_over():
                return waiter.value
            self.log.wait(seen, POLL_S)

    def wait_for_client(self, count: int = 1, *, timeout_s: float = WAIT_S) -> Client:
        """Wait until `count` clients are connected; return the newest. Raises like `wait_for`."""
        __tracebackhide__ = True
        _refuse_in_a_loop("wait_for_client")
        wanted = f"{count} connected clients"
        found = self.wait_for(lambda: self._newest(count), wanted, timeout_s=timeout_s)
        assert found is not None, "it is true"
        return found

    def _newest(self, count: int) -> Client | None:
        connected = self.connected
        return connected[-1] if len(connected) >= count else None

    def assert_no_open_orders(self, user_id: str) -> None:
        """Fail if the user has an open order."""
        __tracebackhide__ = True
        self.assert_open_orders(user_id, [])

    def assert_open_orders(
        self, user_id: str, expected: Sequence[tuple[str, float, float]]
    ) -> None:
        """Fail unless these are the user's open orders: ``(side, price, remaining)``, any order.

        The price of a stop order that has none is its trigger price.
        """
        __tracebackhide__ = True
        got = [(o.type, _price(o), o.remaining) for o in self.orders_of(user_id)]
        missing, extra = _difference(expected, got)
        if missing or extra:
            raise AssertionError(
                f"open orders of {user_id}: missing {missing}, not expected {extra}\n"
                f"{self.diagnosis(user_id)}"
            )

    def assert_book(
        self,
        *,
        bids: Sequence[tuple[float, float]],
        asks: Sequence[tuple[float, float]],
        security: str | None = None,
    ) -> None:
        """Fail unless the book has exactly these levels, best first."""
        __tracebackhide__ = True
        book = self.book(security)
        for side, expected, got in (("bids", bids, book.bids), ("asks", asks, book.asks)):
            if [tuple(level) for level in got] != [tuple(level) for level in expected]:
                shown = [tuple(level) for level in got]
                raise AssertionError(
                    f"{side} of {book.security}: expected {list(expected)}, got {shown}\n"
                    f"{self.diagnosis()}"
                )

    def diagnosis(self, user_id: str | None = None) -> str:
        """Return the state as text: books, open orders, faults and the end of the log."""
        books = [str(self.book(i.security)) for i in self._core.config.instruments]
        orders = self._core.read(lambda data: truth.orders(data, user_id))
        shown = [
            f"    {o.user_id} {o.type} {o.remaining:g} of {o.amount:g} at {_price(o):g} {o.id}"
            for o in orders
        ]
        faults = [f"    {f}" for f in self.faults.active]
        return "\n".join(
            [
                *books,
                f"open orders of {user_id or 'all'}:",
                *(shown or ["    (none)"]),
                *(["faults:", *faults] if faults else []),
                f"end of the log (of {user_id or 'all'}):",
                self.log.text(LOG_LINES, user_id) or "    (no client has connected)",
            ]
        )


class Aio:
    """The waiting methods as coroutines, for tests that share an asyncio loop with the bot.

    With anyio on another backend: ``await anyio.to_thread.run_sync(server.wait_for, condition)``.
    """

    def __init__(self, server: FastbookServer) -> None:
        self._server = server

    async def wait_for(
        self, condition: Callable[[], T], message: str = "", *, timeout_s: float = WAIT_S
    ) -> T:
        """Like `FastbookServer.wait_for`; the loop runs meanwhile."""
        __tracebackhide__ = True
        waiter = _Waiter(self._server, condition, message, timeout_s)
        while not waiter.is_over():  # noqa: ASYNC110 (no event announces the condition)
            await asyncio.sleep(POLL_S / 5)
        return waiter.value

    async def wait_for_client(self, count: int = 1, *, timeout_s: float = WAIT_S) -> Client:
        """Like `FastbookServer.wait_for_client`."""
        __tracebackhide__ = True
        wanted = f"{count} connected clients"
        newest = self._server._newest
        found = await self.wait_for(lambda: newest(count), wanted, timeout_s=timeout_s)
        assert found is not None, "it is true"
        return found


class _Waiter(Generic[T]):
    """One wait: checks the condition, and writes the message of a timeout."""

    def __init__(
        self, server: FastbookServer, condition: Callable[[], T], message: str, timeout_s: float
    ) -> None:
        self.value: T = None  # type: ignore[assignment]  # until it is over
        self._server = server
        self._condition = condition
        self._message = message
        self._timeout_s = timeout_s
        self._until_s = time.monotonic() + timeout_s

    def is_over(self) -> bool:
        """Whether the condition is true; raises AssertionError once the time is over."""
        __tracebackhide__ = True
        is_late = time.monotonic() >= self._until_s
        not_yet: AssertionError | None = None
        try:
            self.value = self._condition()
        except AssertionError as error:
            not_yet = error
        if not_yet is None and self.value:
            return True
        if is_late:
            got = f"got {self.value!r}" if not_yet is None else f"got {not_yet}"
            raise AssertionError(
                f"waited {self._timeout_s} s for {self._message or _source(self._condition)}: "
                f"{got}\n{self._server.diagnosis()}"
            ) from not_yet
        return False


def _price(order: OrderView) -> float:
    price = order.trigger_price if order.price is None else order.price
    assert price is not None, "a market order is never open"
    return price


def _source(condition: Callable[[], Any]) -> str:
    try:
        return " ".join(inspect.getsource(condition).split())
    except (OSError, TypeError):
        return repr(condition)


def _refuse_in_a_loop(name: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"{name}() would block this event loop, in which the bot may run: "
        f"await server.aio.{name}(…) instead"
    )


def _difference(expected: Iterable[Any], got: Iterable[Any]) -> tuple[list[Any], list[Any]]:
    """Return the elements of `expected` that `got` lacks, and the elements that only `got` has."""
    extra = [tuple(g) for g in got]
    missing = []
    for wanted in map(tuple, expected):
        if wanted in extra:
            extra.remove(wanted)
        else:
            missing.append(wanted)
    return missing, extra
