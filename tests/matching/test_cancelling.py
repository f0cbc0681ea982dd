"""Many orders that end at once are looked through in steps."""

from __future__ import annotations

from types import SimpleNamespace

from fastbook_server.matching import cancelling
from fastbook_server.matching.steps import finished


def test_orders_that_are_not_wanted_take_steps_too(monkeypatch):
    monkeypatch.setattr(cancelling, "GROUPED", 2)
    orders = [SimpleNamespace(order=n) for n in range(5)]
    steps = cancelling.cancelling(orders, {}, None, 0, "user", lambda _: False)
    assert [next(steps), next(steps)] == [None, None]
    assert finished(steps) == []
