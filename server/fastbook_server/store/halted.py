"""Which securities the operator has halted, by what the operator did."""

from __future__ import annotations

from collections.abc import Iterable

from fastbook_server.values.events import OperatorActed

HALTS = ("halt", "delist")


def halted_by(actions: Iterable[OperatorActed]) -> frozenset[str]:
    """Return the securities whose last halt, delisting or resumption was no resumption."""
    last = {a.security: a.action for a in actions if a.action in (*HALTS, "resume")}
    return frozenset(s for s, action in last.items() if s is not None and action in HALTS)
