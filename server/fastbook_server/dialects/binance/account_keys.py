"""The accounts that may come in now: read from the database once in a while."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from collections.abc import Mapping

from fastbook_server.channels.deposits import Deposits
from fastbook_server.channels.order_channel import Matcher, Unavailable
from fastbook_server.store import AccountBook, StoreError
from fastbook_server.values.accounts import Account
from fastbook_wire.commands import DeleteAll

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0


class AccountKeys:
    """The accounts by their keys; makes the deposits that it finds, and ends removed accounts.

    Where gateways are several (`shared`), it makes none: the matcher's owner does, or each would.
    Then ``by_listen_key`` has the users by the listen keys that follow from their secrets.
    """

    def __init__(self, book: AccountBook, matcher: Matcher, *, shared: bool = False) -> None:
        self.by_key: dict[str, Account] = {}
        self.by_listen_key: dict[str, str] = {}
        self._book = book
        self._matcher = matcher
        self._deposits = None if shared else Deposits(matcher.submit)
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
        before, self.by_key = self.by_key, {account.key: account for account in seen.accounts}
        if self._deposits is None and self.by_key != before:
            self.by_listen_key = {listen_key(a): a.user_id for a in seen.accounts}
        gone = {a.user_id for a in before.values()} - {a.user_id for a in seen.accounts}
        for user_id in gone:
            self._matcher.submit(user_id, DeleteAll())
        if self._deposits is not None:
            self._deposits.make(seen.deposits)

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


def listen_key(account: Account) -> str:
    """Return the listen key that every gateway knows of an account, and nobody guesses."""
    return hmac.digest(account.secret.encode(), b"listen key", "sha256").hex()
