"""Accounts: API keys with balances. Whoever is no account has unlimited credit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import cython
import msgspec

from fastbook_server.values.decimals import decimals_of
from fastbook_server.values.instruments import Instrument
from fastbook_wire.words import SideName

PREFIX = "api#"
DECIMALS_MIN = 8


class Account(msgspec.Struct, frozen=True):
    """An account: its key says who asks, its secret proves it. A removed one has neither."""

    name: str
    key: str
    secret: str
    created_ms: int

    @property
    def user_id(self) -> str:
        """The user that it trades as, which never expires."""
        return PREFIX + self.name

    def __repr__(self) -> str:
        return f"Account({self.name!r})"  # a secret must not come into a log


class PendingDeposit(msgspec.Struct, frozen=True):
    """A deposit that no batch holds yet; ``amount`` is a decimal text."""

    number: int
    user_id: str
    asset: str
    amount: str


class AccountsSeen(msgspec.Struct, frozen=True):
    """All accounts, and the deposits that are to be made."""

    accounts: Sequence[Account]
    deposits: Sequence[PendingDeposit]


@dataclass(frozen=True)
@cython.cclass
class Pair:
    """What an instrument trades: ``base`` for ``quote``.

    A lot is worth ``lot_units`` of the base asset, a tick x lot ``notional_units`` of the quote.
    """

    base: str
    quote: str
    lot_units: int
    notional_units: int

    def held(self, side: SideName, price: int | None, lots: int) -> tuple[str, int]:
        """Return which asset so many open lots of an order lock, and how many units of it.

        `price` is what is paid for a lot, in ticks: see `price_to_lock`.
        """
        if side == "ask":
            return self.base, lots * self.lot_units
        assert price is not None, "what buys and stays open has a price"
        return self.quote, price * lots * self.notional_units


class Assets:
    """The assets of instruments, each counted in one unit, of which every tick x lot is whole.

    A security is named after its base and its quote asset, with a hyphen between them; one that is
    not has no pair, and no account can trade it.
    """

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        named = [(i, i.security.split("-")) for i in instruments]
        pairs = [(i, parts[0], parts[1]) for i, parts in named if len(parts) == 2 and all(parts)]
        self._decimals: dict[str, int] = {}
        for instrument, base, quote in pairs:
            lot = (instrument.lot.numerator, instrument.lot.denominator)
            notional = _product(instrument)
            for asset, (numerator, denominator) in ((base, lot), (quote, notional)):
                needed = decimals_of(numerator, denominator)
                self._decimals[asset] = max(self.decimals(asset), needed)
        self.pairs = {
            instrument.security: Pair(
                base,
                quote,
                instrument.lot.numerator * 10 ** self.decimals(base) // instrument.lot.denominator,
                _product(instrument)[0] * 10 ** self.decimals(quote) // _product(instrument)[1],
            )
            for instrument, base, quote in pairs
        }

    def decimals(self, asset: str) -> int:
        """Return how many decimals the unit of an asset has."""
        return self._decimals.get(asset, DECIMALS_MIN)

    def units(self, asset: str, amount: Decimal) -> int:
        """Return an amount of an asset in its units."""
        numerator, denominator = amount.as_integer_ratio()
        return int(numerator * 10 ** self.decimals(asset) // denominator)

    @property
    def names(self) -> list[str]:
        """The assets that instruments name."""
        return list(self._decimals)


def _product(instrument: Instrument) -> tuple[int, int]:
    tick, lot = instrument.tick, instrument.lot
    return tick.numerator * lot.numerator, tick.denominator * lot.denominator


def is_account(user_id: str) -> bool:
    """Whether a user is an account."""
    return user_id.startswith(PREFIX)
