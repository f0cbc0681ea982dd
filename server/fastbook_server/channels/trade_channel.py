"""The trade channel: the committed batch, which is all a gateway ever hears of the market."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from fastbook_server.values.events import (
    PRIVATE,
    PUBLIC,
    BalanceChanged,
    CancelRuleChanged,
    ExchangeEvent,
    OperatorActed,
    OrderEvent,
    PrivateEvent,
    StoredEvent,
    Traded,
)

T = TypeVar("T")

PORTION = 1_000
"""Events of a large batch that a subscriber takes in at once: less than a millisecond."""


class CommittedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of commands caused, told once it is durable (``relaxed``: once it is matched).

    ``number`` is the newest durable batch. Events are in order: ``orders`` and ``trades`` are
    public, ``reports`` and ``balances`` are for one user each, ``cancel_rules`` and
    ``operator_actions`` are for gateways alone. ``taken`` is the number of the last `Numbered`
    command of each gateway whose commands it answers, and ``held`` tells who holds a user that has
    connected. Every event still to come is stamped ``settled_ms`` or later; every event still
    missing in the database is stamped ``stored_ms`` or later. Neither ever goes back. A message
    without events is an idle mark: only time has passed. Where a market is divided, all of this is
    of the securities of one ``shard``. Whoever keeps events takes them out of their sequences,
    which are emptied once a large batch has been told.
    """

    number: int
    settled_ms: int
    stored_ms: int
    orders: Sequence[OrderEvent] = ()
    trades: Sequence[Traded] = ()
    reports: Sequence[PrivateEvent] = ()
    cancel_rules: Sequence[CancelRuleChanged] = ()
    operator_actions: Sequence[OperatorActed] = ()
    balances: Sequence[BalanceChanged] = ()
    taken: dict[str, int] = {}
    held: dict[str, str] = {}
    shard: str = ""

    @property
    def stored(self) -> tuple[StoredEvent, ...]:
        """What a store keeps of it: of each security, and of each user, in order."""
        public: tuple[StoredEvent, ...] = (*self.orders, *self.trades)
        return (*public, *self.cancel_rules, *self.operator_actions, *self.balances)


def portions(events: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the events of a large batch, so many at a time."""
    for start in range(0, len(events), PORTION):
        yield events[start : start + PORTION]


def committed(
    events: Sequence[ExchangeEvent],
    *,
    number: int,
    settled_ms: int,
    stored_ms: int,
    taken: dict[str, int],
    held: dict[str, str],
) -> CommittedBatch:
    """Return the batch of these events, sorted by who is to hear of them."""
    return CommittedBatch(
        number=number,
        settled_ms=settled_ms,
        stored_ms=stored_ms,
        orders=tuple(e for e in events if type(e) in PUBLIC and type(e) is not Traded),  # type: ignore[misc]  # as PUBLIC says
        trades=tuple(e for e in events if type(e) is Traded),
        reports=tuple(e for e in events if type(e) in PRIVATE),  # type: ignore[misc]  # as PRIVATE says
        cancel_rules=tuple(e for e in events if type(e) is CancelRuleChanged),
        operator_actions=tuple(e for e in events if type(e) is OperatorActed),
        balances=tuple(e for e in events if type(e) is BalanceChanged),
        taken=taken,
        held=held,
    )
