"""The bounds of the market."""

from __future__ import annotations

import msgspec


class ExchangeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of the market, per user and over all users."""

    open_orders_max: int = 200_000
    open_orders_total_max: int = 2_000_000
    client_order_ids_max: int = 500_000
    client_order_ids_total_max: int = 5_000_000
