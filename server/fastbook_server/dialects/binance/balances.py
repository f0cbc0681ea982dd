"""What accounts have, as committed batches tell of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cython

from fastbook_server.dialects.binance.symbols import Symbols
from fastbook_server.values.accounts import is_account
from fastbook_server.values.events import BalanceChanged
from fastbook_server.values.persisted import Recovered


@cython.cclass
class Balances:
    """The balances of all accounts: free and locked, in units of their asset."""

    def __init__(self, symbols: Symbols, recovered: Recovered) -> None:
        self._symbols = symbols
        self._of: dict[str, dict[str, tuple[int, int]]] = {}
        assets = symbols.assets
        for (user_id, asset), total in recovered.balances.items():
            self._of.setdefault(user_id, {})[asset] = (assets.units(asset, total), 0)
        for past in recovered.open_orders:
            order, pair = past.order, assets.pairs.get(past.order.instrument.security)
            if pair is not None and is_account(order.user_id):
                asset, units = pair.held(order.side, order.price, past.remaining)
                free, locked = self._of[order.user_id][asset]
                self._of[order.user_id][asset] = (free - units, locked + units)

    def follow(
        self, changes: Sequence[BalanceChanged], is_heard: Callable[[str], bool]
    ) -> dict[str, list[dict[str, str]]]:
        """Follow what a batch changes; return it for users who are heard, each asset once."""
        heard: dict[str, dict[str, BalanceChanged]] = {}
        for change in changes:
            known = self._of.get(change.user_id)
            if known is None:
                known = self._of[change.user_id] = {}
            known[change.asset] = (change.free, change.locked)
            if is_heard(change.user_id):
                heard.setdefault(change.user_id, {})[change.asset] = change
        return {
            user_id: list(map(self._told, of_one.values())) for user_id, of_one in heard.items()
        }

    def _told(self, change: BalanceChanged) -> dict[str, str]:
        return {
            "a": change.asset,
            "f": self._symbols.amount(change.asset, change.free),
            "l": self._symbols.amount(change.asset, change.locked),
        }

    def of(self, user_id: str, *, omit_zero: bool) -> list[dict[str, str]]:
        """Return what an account has, by asset; of assets it never had, zero."""
        known = self._of.get(user_id, {})
        every = dict.fromkeys((*self._symbols.assets.names, *known))
        return [
            {
                "asset": asset,
                "free": self._symbols.amount(asset, known.get(asset, (0, 0))[0]),
                "locked": self._symbols.amount(asset, known.get(asset, (0, 0))[1]),
            }
            for asset in every
            if not omit_zero or any(known.get(asset, ()))
        ]
