"""Where accounts are kept: their keys, and the deposits that no batch holds yet.

Only deposits change a balance from outside, and only a server that holds the database can take them
into a batch: whoever adds one writes it down, and the server finds it within a moment.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from fastbook_server.store import StoreRefused
from fastbook_server.values.accounts import Account, AccountsSeen, PendingDeposit
from fastbook_server.values.decimals import parsed

if TYPE_CHECKING:
    from fastbook_server.store.memory import MemoryDatabase

NAME_SIGNS = "1 to 32 lower-case letters, digits or _-"
KEY_BYTES = 32


@dataclass(frozen=True)
class Holdings:
    """An account and what it has, by asset: free and locked."""

    account: Account
    balances: dict[str, tuple[Decimal, Decimal]]


def new_account(name: str, *, now_ms: int | None = None) -> Account:
    """Return a new account with a key and a secret of its own.

    Raises:
        StoreRefused: no account can have this name.
    """
    check_name(name)
    created_ms = time.time_ns() // 1_000_000 if now_ms is None else now_ms
    return Account(name, new_key(), new_key(), created_ms)


def new_key() -> str:
    """Return 64 letters and digits that nobody guesses: a key, or a secret."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(secrets.choice(alphabet) for _ in range(2 * KEY_BYTES))


def check_name(name: str) -> None:
    """Raise StoreRefused if no account can have this name."""
    signs = all(c.isascii() and (c.islower() or c.isdigit() or c in "_-") for c in name)
    if not 1 <= len(name) <= 32 or not signs:
        raise StoreRefused(f"name: expected {NAME_SIGNS}, got {name[:40]!r}")


def check_amount(asset: str, amount: str) -> None:
    """Raise StoreRefused if this is no amount of an asset that can be paid in."""
    if not 1 <= len(asset) <= 16 or not all(c.isascii() and c.isalnum() for c in asset):
        raise StoreRefused(f"asset: expected 1 to 16 letters or digits, got {asset[:40]!r}")
    try:
        digits, decimals = parsed(amount)
    except ValueError as error:
        raise StoreRefused(f"{asset}: {error}") from None
    if not digits or decimals > 8 or digits >= 10**26:
        expected = "expected a positive number of at most 8 decimals, below 1e18"
        raise StoreRefused(f"{asset}: {expected}, got {amount}")


class MemoryAccounts:
    """The accounts of a database in memory."""

    def __init__(self, data: MemoryDatabase) -> None:
        self._data = data

    async def read(self) -> AccountsSeen:
        """See `AccountBook.read`."""
        data = self._data
        return AccountsSeen(list(data.accounts.values()), list(data.deposits.values()))

    async def provide(self, name: str, balances: Mapping[str, str]) -> Account:
        """See `AccountBook.provide`."""
        known = self._data.accounts.get(name)
        if known is None:
            known = new_account(name)
            add_in_memory(self._data, known, dict(balances))
        return known

    async def close(self) -> None:
        """Do nothing."""


def add_in_memory(data: MemoryDatabase, account: Account, balances: dict[str, str]) -> None:
    """Add an account to a database in memory, or to one that has this name; note its deposits.

    Raises:
        StoreRefused: an amount is none.
    """
    for asset, amount in balances.items():
        check_amount(asset, amount)
    data.accounts[account.name] = account
    for asset, amount in balances.items():
        data.deposit_number += 1
        number = data.deposit_number
        data.deposits[number] = PendingDeposit(number, account.user_id, asset, amount)
