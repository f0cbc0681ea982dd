"""Many reports at once: built as they are read, for each user in their order."""

from __future__ import annotations

import json

from fakes import T0
from hall import batch_of
from lobby import Lobby
from trading import Floor, bid, delete_all, market, orders

from fastbook_server.gateway import reports
from fastbook_server.gateway.reports import ORDER_BYTES
from fastbook_server.gateway.users import AT_ONCE_MAX
from fastbook_server.values.events import FillReport, OrderReport


def test_many_orders_are_reported_as_they_are_read():
    lobby = Lobby()
    ann, ann_id, _ = lobby.connect()
    floor = Floor()
    count = AT_ONCE_MAX
    for n in range(1, count + 1):
        lobby.users.on_batch(batch_of(floor.do(ann_id, bid(n, 1)), T0))
    ann.take()
    events = [*floor.do(ann_id, orders("1")), *floor.do(ann_id, delete_all("2"))]
    events += floor.do(ann_id, orders("3"))
    lobby.users.on_batch(batch_of(events, T0))
    frames = ann.take()
    assert [(f.get("ref"), len(f["orders"])) for f in frames if f["event"] == "orders"] == [
        *[("1", 500)] * (count // 500),
        ("3", 0),
    ]
    deleted, cancelled = frames[count // 500], frames[count // 500 + 1 : -1]
    assert (deleted["ref"], deleted["count"]) == ("2", count)
    assert [f["order"]["price"] for f in cancelled] == list(range(1, count + 1))
    assert ann.later == [count * ORDER_BYTES] * 2


def test_reports_of_many_users_come_to_each_in_order():
    lobby = Lobby()
    floor, users, events = Floor(), [lobby.connect() for _ in range(3)], []
    for n in range(AT_ONCE_MAX):
        events += floor.do(users[n % 3][1], bid(5, 1) if n % 4 else market("ask", 1))
    lobby.users.on_batch(batch_of(events, T0))
    for user, user_id, _ in users:
        own = [e for e in events if isinstance(e, OrderReport | FillReport)]
        own = [e for e in own if e.user_id == user_id]
        assert user.take() == [json.loads(reports.payload(e)) for e in own]
        assert user.later
