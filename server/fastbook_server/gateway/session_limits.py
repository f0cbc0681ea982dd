"""What one connection may do."""

from __future__ import annotations

import msgspec


class SessionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of one connection; the configuration describes each."""

    commands_per_second_max: int
    cancels_per_second_reserve: int
    refusals_per_second_max: int
    subscriptions_max: int
    outbox_bytes_soft: int
    outbox_bytes_max: int
