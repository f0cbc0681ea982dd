"""What a user's fills in one security add up to."""

from __future__ import annotations

import msgspec


class Holding(msgspec.Struct, frozen=True):
    """A user's fills in one security: ``lots`` held, and ``cash`` from sales less purchases.

    ``cash`` is in ticks x lots; ``fills`` counts them, both sides of a trade with oneself.
    """

    user_id: str
    security: str
    lots: int
    cash: int
    fills: int
