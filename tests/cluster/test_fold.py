"""A standby folds the log for weeks: it keeps what is part of the state, and nothing else."""

from __future__ import annotations

from hall import batch_of
from trading import T0, Floor, ask, delete_all, market, recovered

from fastbook_server.cluster.fold import StateFold
from fastbook_server.values.persisted import CLIENT_ORDERS_KEPT_MS


def test_what_has_ended_is_forgotten_a_day_later_and_what_is_open_is_not():
    floor, fold = Floor(), StateFold(recovered())
    floor.do("ann", ask(10, 1, client_order_id="filled"))
    floor.do("bob", market("bid", 1))
    floor.do("ann", ask(10, 1, client_order_id="gone"))
    floor.do("ann", delete_all())
    floor.do("ann", ask(11, 1, client_order_id="open"))
    fold.take(batch_of(floor.events, T0, 1))
    ended = [known.order.client_order_id for known in fold.recovered().client_orders]
    assert sorted(ended) == ["filled", "gone"]
    fold.take(batch_of([], T0 + CLIENT_ORDERS_KEPT_MS + 1, 2))
    kept = fold._data
    assert [known.order.client_order_id for known in kept.client_orders.values()] == ["open"]
    assert list(kept.order_ids) == [("ann", "open")]
    assert (kept.events, kept.trades) == ([], {})
    assert [left.order.client_order_id for left in fold.recovered().open_orders] == ["open"]
