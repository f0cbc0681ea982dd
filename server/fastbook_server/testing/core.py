"""A test's server in its own thread: its lifecycle, and the commands executed in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from fastbook_server.app import Server
from fastbook_server.channels.order_channel import Unavailable
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.gateway import decode, encode
from fastbook_server.gateway.decode import ProtocolError
from fastbook_server.store import StoreRefused
from fastbook_server.store.accounts import add_in_memory, new_account
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.testing import truth
from fastbook_server.testing.door import FaultyDoor
from fastbook_server.testing.faults import Faults
from fastbook_server.testing.log import Entry, Log
from fastbook_server.testing.loop import LoopThread, NoAnswerError
from fastbook_server.testing.settings import ServerSettings
from fastbook_server.testing.tap import Company
from fastbook_server.testing.timers import HandTimers
from fastbook_server.values.accounts import Account
from fastbook_server.values.events import AllDeleted, CommandRefused, ExchangeEvent, OrderReport
from fastbook_wire.commands import ExchangeCommand
from fastbook_wire.frames import DeletedAll, OrderFrame, OwnFillView

T = TypeVar("T")

QUIET_TURNS = 12
"""Loop turns without news that count as quiet: more than any path between two sockets takes."""

SUBMITTED_AT_ONCE = 500

Reply = OrderFrame | DeletedAll
_decoder: msgspec.json.Decoder[Reply] = msgspec.json.Decoder(Reply)


class DownError(Exception):
    """The test has stopped the server and must start it first."""


class Core:
    """A server that can be stopped and started again on the same data and the same port."""

    def __init__(self, settings: ServerSettings) -> None:
        self.config = settings.config
        self.data = MemoryDatabase()
        self.log = Log(settings.start_ms)
        self.thread = LoopThread("fastbook-server")
        self.faults = Faults(self.thread.call)
        self._server: Server | None = None
        self._replies: dict[tuple[str, str], ExchangeEvent] = {}
        self._listeners: list[Callable[[CommittedBatch], None]] = []
        self.timers, self._company = self.thread.call(self._make, settings)

    def _make(self, settings: ServerSettings) -> tuple[HandTimers, Company]:
        loop = asyncio.get_running_loop()
        timers = HandTimers(loop, settings.start_ms, runs=settings.clock == "runs")
        return timers, Company(timers, self.faults, self.log)

    # ---- lifecycle ----------------------------------------------------------------------------

    @property
    def serving(self) -> bool:
        """Whether the server has been started and not stopped."""
        return self._server is not None

    def start(self) -> None:
        """Start serving: the first time on a free port, later on the same port."""
        if self._server is None:
            self.thread.run(self._start)

    def stop(self, *, crash: bool = False) -> None:
        """Stop serving: close the clients with 1001, or with `crash` cut them off."""
        self.thread.run(self._stop, crash)

    def close(self) -> None:
        """Stop the server and its thread; leaves nothing behind. Calling it again does nothing."""
        if self.thread.has_ended:
            return
        try:
            self.thread.run(self._close)
        finally:
            self.thread.stop()

    async def _start(self) -> None:
        server = await Server.start(
            self.config,
            MemoryStore(self.data),
            clock=self.timers,
            door=partial(FaultyDoor, self._company),
        )
        server.batches.subscribe(self._on_batch)
        self.config = msgspec.structs.replace(self.config, port=server.port)
        self._server = server
        self.note(f"serving on port {server.port}, epoch {self.data.epoch}")

    async def _stop(self, crash: bool) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        self.note("crashing" if crash else "stopping")
        if crash:
            for wire in tuple(self._company.wires):
                wire.cut("crash")
        await server.stop()

    async def _close(self) -> None:
        self.faults.reset()
        await self._stop(False)
        self.timers.stop()
        for _ in range(QUIET_TURNS):  # a transport closes one turn after close()
            await asyncio.sleep(0)

    def note(self, text: str) -> None:
        """Log an entry that concerns no single client."""
        self.log.add(Entry(self.timers.now_ms(), 0, "", "note", text))

    # ---- commands -----------------------------------------------------------------------------

    def read(self, function: Callable[[MemoryDatabase], T]) -> T:
        """Call a function with the data, between two batches; return its result."""
        return self.thread.call(function, self.data)

    def fills(self, user_id: str, security: str) -> list[OwnFillView]:
        """Return the fills of a user's orders."""
        return self.thread.run(truth.fills, self.data, user_id, security)

    def open_clients(self) -> set[int]:
        """Return the numbers of the open connections."""
        return self.thread.call(lambda: {wire.number for wire in self._company.wires})

    def settle(self) -> None:
        """Return when everything clients have sent is committed and every client has been told."""
        self.thread.run(self.settled)

    async def settled(self) -> None:
        """Like `settle`, in the server's loop."""
        quiet, seen = 0, -1
        while quiet < QUIET_TURNS:
            await asyncio.sleep(0)
            server = self._server
            waiting = 0 if server is None else server.pipeline.uncommitted_commands
            quiet = quiet + 1 if not waiting and seen == self.log.changes else 0
            seen = self.log.changes

    def command(self, user_id: str, command: ExchangeCommand) -> Reply:
        """Execute a command of a user without a connection; return its reply.

        Raises:
            ValueError: no client could send such a command.
            DownError: the server is not running.
        """
        try:  # decoded like a client's frame, so only a valid command gets in
            decoded = decode.decode(msgspec.json.encode(command))
        except ProtocolError as error:
            raise ValueError(error.message) from None
        assert isinstance(decoded, ExchangeCommand), decoded
        return self.thread.run(self._command, user_id, decoded)

    def submit(self, user_id: str, commands: Sequence[ExchangeCommand]) -> None:
        """Execute commands of a user without a connection in their order.

        Raises:
            DownError: the server is not running.
        """
        self.thread.run(self._submit, user_id, commands)

    def add_account(self, balances: dict[str, str]) -> Account:
        """Add an account for bots that speak to Binance, and make its deposits.

        Raises:
            ValueError: the server does not speak as Binance does, or an amount is none.
            DownError: the server is not running.
        """
        if not self.config.binance:
            raise ValueError("expected a server with binance=True, as in @pytest.mark.fastbook")
        return self.thread.run(self._add_account, balances)

    async def _add_account(self, balances: dict[str, str]) -> Account:
        if self._server is None or self._server.dialect is None:
            raise DownError("the server is stopped: call start() first")
        account = new_account(f"bot{len(self.data.accounts) + 1}")
        try:
            add_in_memory(self.data, account, balances)
        except StoreRefused as refused:
            raise ValueError(str(refused)) from None
        await self._server.dialect.look()
        await self._server.pipeline.stored()
        return account

    def listen(self, listener: Callable[[CommittedBatch], None]) -> None:
        """Call `listener` with each committed batch, in the server's loop."""
        self._listeners.append(listener)

    async def _submit(self, user_id: str, commands: Sequence[ExchangeCommand]) -> None:
        if self._server is None:
            raise DownError("the server is stopped: call start() first")
        for n in range(0, len(commands), SUBMITTED_AT_ONCE):
            self._server.pipeline.submit(user_id, *commands[n : n + SUBMITTED_AT_ONCE])
            await self.settled()

    async def _command(self, user_id: str, command: ExchangeCommand) -> Reply:
        server = self._server
        if server is None:
            raise DownError("the server is stopped: call start() first")
        assert isinstance(command.ref, str), "a counterparty gives every command a ref"
        key = (user_id, command.ref)
        try:
            server.pipeline.submit(user_id, command)
        except Unavailable as error:
            refused = CommandRefused(user_id, command.ref, error.code, error.message, True)
            return _decoder.decode(encode.private(refused))
        await self.settled()
        reply = self._replies.pop(key, None)
        if reply is None:
            raise NoAnswerError(f"no reply to {command}")
        assert isinstance(reply, OrderReport | CommandRefused | AllDeleted), reply
        return _decoder.decode(encode.private(reply))

    def _on_batch(self, batch: CommittedBatch) -> None:
        if batch.reports or batch.orders:  # else an idle mark, which nobody waits for
            self.log.touch()
        for listener in self._listeners:
            listener(batch)
        for event in batch.reports:
            if isinstance(event, OrderReport | CommandRefused | AllDeleted):
                ref = event.ref
                if isinstance(ref, str) and event.user_id.startswith(COUNTERPARTY):
                    self._replies[event.user_id, ref] = event


COUNTERPARTY = "user#test-"
"""The prefix of counterparties' user ids; clients' user ids have no hyphen."""
