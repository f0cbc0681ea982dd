"""The accounts that may come in now: read from the database once in a while."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from fastbook_server.channels.order_channel import Deposit, Matcher, Unavailable
from fastbook_server.store import AccountBook, StoreError
from fastbook_server.values.accounts import Account
from fastbook_wire.commands import DeleteAll

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


class AccountKeys:
    """The accounts by their keys; makes the deposits that it finds, and ends removed accounts."""

    def __init__(self, book: AccountBook, matcher: Matcher) -> None:
        self.by_key: dict[str, Account] = {}
        self._book = book
        self._matcher = matcher
        self._deposited: set[int] = set()
        self._task: asyncio.Task[None] | None = None
        self._asking = asyncio.Lock()  # one question at a time

    async def start(self) -> None:
        """Read the accounts, and go on doing so.

        Raises:
            StoreUnavailable: the database is away.
        """
        await self.look()
        self._task = asyncio.create_task(self._keep_looking(), name="accounts")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._book.close()

    async def look(self) -> None:
        """Read the accounts now."""
        async with self._asking:
            seen = await self._book.read()
        before = {account.user_id for account in self.by_key.values()}
        self.by_key = {account.key: account for account in seen.accounts}
        for user_id in before - {account.user_id for account in seen.accounts}:
            self._matcher.submit(user_id, DeleteAll())
        for pending in seen.deposits:
            if pending.number not in self._deposited:
                deposit = Deposit(pending.number, pending.asset, pending.amount)
                self._matcher.submit(pending.user_id, deposit)
                self._deposited.add(pending.number)
        self._deposited &= {pending.number for pending in seen.deposits}

    async def provide(self, name: str, balances: Mapping[str, str]) -> Account:
        """Return the account of this name, a new one with these balances if there is none.

        Raises:
            StoreRefused: there was one that has been removed.
            StoreUnavailable: the database is away.
        """
        async with self._asking:
            account = await self._book.provide(name, balances)
        await self.look()
        return account

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except (StoreError, Unavailable) as error:
                log.warning("the accounts cannot be read: %s", error)
