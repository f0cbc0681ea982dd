"""The accounts of a database: read by a server that runs, changed by whoever may."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal

import asyncpg

from fastbook_server.store import StoreRefused
from fastbook_server.store.accounts import (
    Holdings,
    check_amount,
    new_account,
    new_key,
)
from fastbook_server.store.connection import (
    LOCK_KEY,
    SCHEMA,
    Connection,
    connect,
    detect_timescale,
    store_error,
)
from fastbook_server.store.migrations import migrate
from fastbook_server.values.accounts import PREFIX, Account, AccountsSeen, PendingDeposit

TIMEOUT_S = 10.0
ACCOUNTS = "SELECT name, key, secret, created FROM accounts WHERE key IS NOT NULL ORDER BY name"
PENDING = """
SELECT d.number, d.user_id, d.asset, d.amount FROM deposits AS d JOIN accounts AS a USING (user_id)
WHERE d.batch_no IS NULL AND a.key IS NOT NULL ORDER BY d.number
"""
INSERT = "INSERT INTO accounts (name, user_id, key, secret, created) VALUES ($1, $2, $3, $4, $5)"
DEPOSIT = "INSERT INTO deposits (time, user_id, asset, amount) VALUES ($1, $2, $3, $4)"
ROTATE = "UPDATE accounts SET key = $2, secret = $3 WHERE name = $1 AND key IS NOT NULL"
REMOVE = "UPDATE accounts SET key = NULL, secret = NULL WHERE name = $1 AND key IS NOT NULL"
BALANCES = "SELECT user_id, asset, free, locked FROM account_balances ORDER BY user_id, asset"
UNTAKEN = """
SELECT user_id, asset, sum(amount) AS amount FROM deposits
WHERE batch_no IS NULL GROUP BY user_id, asset
"""


class PostgresAccounts:
    """The accounts of the database at `dsn`, once a store has opened it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Connection | None = None

    async def read(self) -> AccountsSeen:
        """See `AccountBook.read`."""
        try:
            if self._connection is None or self._connection.is_closed():
                self._connection = await _connect(self._dsn)
            rows = await self._connection.fetch(ACCOUNTS)
            pending = await self._connection.fetch(PENDING)
        except Exception as error:
            await self.close()
            meaning = store_error(error)
            if meaning is None:
                raise
            raise meaning from error
        return AccountsSeen([_account(row) for row in rows], [_pending(row) for row in pending])

    async def provide(self, name: str, balances: Mapping[str, str]) -> Account:
        """See `AccountBook.provide`."""
        for known in (await self.read()).accounts:
            if known.name == name:
                return known
        assert self._connection is not None, "it has just been read from"
        return await AccountDesk(self._connection).add(name, balances)

    async def close(self) -> None:
        """See `AccountBook.close`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


class AccountDesk:
    """What a person does with the accounts of a database, whether a server runs on it or not."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, name: str, balances: Mapping[str, str]) -> Account:
        """Add an account with these balances; return it.

        Raises:
            StoreRefused: the name or an amount is none, or the name is taken.
        """
        account = new_account(name)
        async with self._connection.transaction():
            try:
                await self._connection.execute(
                    INSERT, name, account.user_id, account.key, account.secret, account.created_ms
                )
            except asyncpg.UniqueViolationError:
                raise StoreRefused(f"name: {name!r} is or was another account's") from None
            await self._pay_in(account.user_id, balances)
        return account

    async def deposit(self, name: str, balances: Mapping[str, str]) -> None:
        """Pay into an account; a server that runs finds it within a moment. Raises like `add`."""
        await self._known(name)
        async with self._connection.transaction():
            await self._pay_in(PREFIX + name, balances)

    async def rotate(self, name: str) -> Account:
        """Give an account a new key and secret; the old ones end within a moment.

        Raises:
            StoreRefused: there is no such account.
        """
        account = await self._known(name)
        rotated = Account(name, new_key(), new_key(), account.created_ms)
        await self._connection.execute(ROTATE, name, rotated.key, rotated.secret)
        return rotated

    async def remove(self, name: str) -> None:
        """Take an account's key away; a server that runs cancels its orders. Raises as `rotate`."""
        await self._known(name)
        await self._connection.execute(REMOVE, name)

    async def list(self) -> list[Holdings]:
        """Return all accounts with what they have; a deposit that is on its way counts as free."""
        async with self._connection.transaction(isolation="repeatable_read", readonly=True):
            accounts = [_account(row) for row in await self._connection.fetch(ACCOUNTS)]
            held: dict[str, dict[str, tuple[Decimal, Decimal]]] = {}
            for row in await self._connection.fetch(BALANCES):
                held.setdefault(row["user_id"], {})[row["asset"]] = (row["free"], row["locked"])
            for row in await self._connection.fetch(UNTAKEN):
                of_one = held.setdefault(row["user_id"], {})
                free, locked = of_one.get(row["asset"], (Decimal(0), Decimal(0)))
                of_one[row["asset"]] = (free + row["amount"], locked)
        return [Holdings(account, held.get(account.user_id, {})) for account in accounts]

    async def _known(self, name: str) -> Account:
        rows = await self._connection.fetch(ACCOUNTS)
        found = next((_account(row) for row in rows if row["name"] == name), None)
        if found is None:
            raise StoreRefused(f"name: there is no account {name[:40]!r}")
        return found

    async def _pay_in(self, user_id: str, balances: Mapping[str, str]) -> None:
        now_ms = time.time_ns() // 1_000_000
        for asset, amount in balances.items():
            check_amount(asset, amount)
            await self._connection.execute(DEPOSIT, now_ms, user_id, asset, Decimal(amount))


@contextlib.asynccontextmanager
async def account_desk(dsn: str) -> AsyncIterator[AccountDesk]:
    """Yield the desk of a database; a new one, or an older one, gets this version's schema.

    Raises:
        StoreError: the database is away, or refuses.
    """
    try:
        connection = await _connect(dsn)
        try:
            if await connection.fetchval("SELECT to_regclass('accounts') IS NULL"):
                timescale = await detect_timescale(await _connect(dsn))
                await migrate(connection, schema=SCHEMA, timescale=timescale, lock_key=LOCK_KEY)
            yield AccountDesk(connection)
        finally:
            connection.terminate()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise store_error(error) or error from error


async def _connect(dsn: str) -> Connection:
    return await connect(dsn, connect_timeout_s=TIMEOUT_S, command_timeout_s=TIMEOUT_S)


def _account(row: asyncpg.Record) -> Account:
    return Account(row["name"], row["key"], row["secret"], row["created"])


def _pending(row: asyncpg.Record) -> PendingDeposit:
    return PendingDeposit(row["number"], row["user_id"], row["asset"], f"{row['amount']:f}")
