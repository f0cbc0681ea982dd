"""The open orders of a user, listed."""

from __future__ import annotations

from fastbook_server.matching.owners import Owners
from fastbook_server.matching.steps import PORTION, Steps
from fastbook_server.values._unwatched import unwatched
from fastbook_server.values.events import OrderReport, OrdersListed


def listing(owners: Owners, user_id: str, ref: str | int | None) -> Steps:
    """List the user's open orders, oldest first."""
    reports: list[OrderReport] = unwatched()
    for progress in owners.open_orders(user_id):
        reports.append(progress.report())
        if len(reports) % PORTION == 0:
            yield
    return [OrdersListed(user_id, ref, tuple(reports))]
