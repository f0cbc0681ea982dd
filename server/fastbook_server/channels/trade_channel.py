"""The trade channel: the committed batch, which is all a gateway ever hears of the market."""

from __future__ import annotations

import msgspec

from fastbook_server.values.events import CancelRuleChanged, OrderEvent, PrivateEvent, Traded


class CommittedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of commands caused, told once it is durable (``relaxed``: once it is matched).

    ``number`` is the newest durable batch. Events are in order: ``orders`` and ``trades`` are
    public, ``reports`` are for one user each, ``cancel_rules`` are for gateways alone. Every event
    still to come is stamped ``settled_ms`` or later; every event still missing in the database is
    stamped ``stored_ms`` or later. Neither ever goes back. A message without events is an idle
    mark: only time has passed.
    """

    number: int
    settled_ms: int
    stored_ms: int
    orders: tuple[OrderEvent, ...] = ()
    trades: tuple[Traded, ...] = ()
    reports: tuple[PrivateEvent, ...] = ()
    cancel_rules: tuple[CancelRuleChanged, ...] = ()
