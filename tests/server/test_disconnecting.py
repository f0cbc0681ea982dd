"""Which orders go with a connection, or at a deadline, and that a restart changes none of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fakes import T0, FakeClock
from trading import SPECS

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store import StoreRefused
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from peers import Peer, order, until

GRACE_S = 60.0


class Venue:
    """A server whose clock stands until the test moves it, over as many lives as it takes."""

    def __init__(self, join: Callable[..., Any], settings: dict[str, Any]) -> None:
        self.join = join
        self.settings = {"port": 0, "instruments": SPECS, "resume_grace_s": GRACE_S} | settings
        self.database = MemoryDatabase()
        self.clock = FakeClock()
        self.server: Server | None = None

    async def start(self, **settings: Any) -> Server:
        config = Config(**self.settings | settings)
        store = MemoryStore(self.database)
        self.server = await Server.start(config, store, clock=self.clock)
        return self.server

    async def stop(self) -> None:
        """Stop the server, whether its clients answer the close or not."""
        running, self.server = self.server, None
        running.pipeline.stop()
        for session in tuple(running.gateway.door._sessions):
            session.cut_off()
        await running.stop()

    async def user(self, **query: str) -> Peer:
        return await self.join(self.server, feed="none", **query)

    async def lose(self, peer: Peer) -> None:
        """End a peer's connection, and wait until the server knows."""
        users = self.server.gateway.users._users
        await peer.ws.close()
        await until(lambda: users[peer.user_id].connection is None)

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await until(lambda: self.server.pipeline.uncommitted_commands == 0)

    @property
    def open_orders(self) -> list[str]:
        """The users of the open orders, as they are stored."""
        return sorted(o.order.user_id for o in self.database.open_orders.values())


@pytest.fixture
async def make_venue(join) -> AsyncIterator[Callable[..., Any]]:
    venues: list[Venue] = []

    async def make(**settings: Any) -> Venue:
        venues.append(Venue(join, settings))
        await venues[-1].start()
        return venues[-1]

    yield make
    for venue in venues:
        if venue.server is not None:
            await venue.stop()


async def test_orders_go_at_once_with_the_connection_that_asked_for_it(make_venue):
    venue = await make_venue()
    ann, bob = await venue.user(cancelOnDisconnect="true"), await venue.user()
    for peer in (ann, bob):
        await peer.ask(order("bid", 10, 2, "1"))
    for peer in (ann, bob):
        await venue.lose(peer)
    await venue.advance(0)
    assert venue.open_orders == [bob.user_id]
    again = await venue.user(resume=ann.token)
    assert (again.user_id, await again.next()) == (ann.user_id, {"event": "orders", "orders": []})
    reason = (await again.ask({"op": "order", "ref": "o", "id": oid_of(venue, ann)}))["reason"]
    assert reason == "disconnect"


def oid_of(venue: Venue, peer: Peer) -> str:
    """Return the id of the first order that a user has placed."""
    accepted = (e.order for e in venue.database.events if type(e).__name__ == "OrderAccepted")
    return next(o.id for o in accepted if o.user_id == peer.user_id)


async def test_orders_wait_as_long_as_the_connection_asked_for(make_venue):
    venue = await make_venue()
    ann = await venue.user(cancelOnDisconnect="90")
    await ann.ask(order("bid", 10, 2, "1"))
    await venue.lose(ann)
    await venue.advance(89.9)
    assert venue.open_orders == [ann.user_id]
    back = await venue.user(resume=ann.token, cancelOnDisconnect="90")
    assert back.user_id == ann.user_id
    await venue.advance(1_000)
    assert venue.open_orders == [ann.user_id]
    await venue.lose(back)
    await venue.advance(90)
    assert venue.open_orders == []


async def test_where_the_server_cancels_on_close_it_waits_for_the_grace_time(make_venue):
    venue = await make_venue(on_close="cancel")
    ann, bob = await venue.user(), await venue.user(cancelOnDisconnect="1")
    for peer in (ann, bob):
        await peer.ask(order("bid", 10, 2, "1"))
        await venue.lose(peer)
    await venue.advance(1)
    assert venue.open_orders == [ann.user_id]
    await venue.advance(GRACE_S)
    assert venue.open_orders == []


@pytest.mark.parametrize(
    ("first", "second", "stay"),
    [
        ({}, {"cancelOnDisconnect": "true"}, False),
        ({"cancelOnDisconnect": "true"}, {}, True),
        ({"cancelOnDisconnect": "true"}, {"cancelOnDisconnect": "false"}, True),
        ({"cancelOnDisconnect": "true"}, None, False),
        ({}, None, True),
    ],
)
async def test_over_a_restart_the_last_connection_decides(make_venue, first, second, stay):
    """Also if no order came over it, and if an order came before or with an earlier choice."""
    venue = await make_venue()
    ann = await venue.user(**first)
    await ann.ask(order("bid", 10, 2, "1"))
    if second is not None:
        ann = await venue.user(resume=ann.token, **second)
        await ann.sync()
    await venue.stop()
    await venue.start()
    await venue.advance(0)
    assert venue.open_orders == [ann.user_id] * stay
    await venue.advance(100 * GRACE_S)
    assert venue.open_orders == [ann.user_id] * stay


async def test_after_a_restart_who_asked_for_seconds_has_them_to_come_back(make_venue):
    venue = await make_venue()
    ann, bob = [await venue.user(cancelOnDisconnect="30") for _ in range(2)]
    for peer in (ann, bob):
        await peer.ask(order("bid", 10, 2, "1"))
    await venue.stop()
    await venue.start()
    await venue.advance(29.9)
    await venue.user(resume=ann.token, cancelOnDisconnect="30")
    await venue.advance(0.1)
    assert venue.open_orders == [ann.user_id]


async def test_users_who_are_gone_leave_no_rule_behind(make_venue):
    venue = await make_venue()
    for query in ({}, {"cancelOnDisconnect": "true"}, {"cancelOnDisconnect": "100"}):
        peer = await venue.user(**query)
        await peer.ask({"op": "cancelAfter", "ref": "c", "ms": 80_000_000})
        await venue.lose(peer)
    idle = await venue.user()
    await idle.sync()
    assert len(venue.database.cancel_rules) == 3
    await venue.advance(100)
    assert venue.database.cancel_rules == {}


# ---- the dead man's switch -----------------------------------------------------------------------


async def test_the_switch_cancels_when_it_is_not_set_again_in_time(make_venue):
    venue = await make_venue()
    ann = await venue.user()
    assert await ann.ask({"op": "cancelAfter", "ref": "c", "ms": 5_000}) == {
        "event": "cancelAfterSet", "ref": "c", "time": T0, "triggerTime": T0 + 5_000,
    }  # fmt: skip
    placed = await ann.ask(order("bid", 10, 2, "1"))
    await venue.advance(4)
    set_again = await ann.ask({"op": "cancelAfter", "ref": "d", "ms": 5_000})
    assert (set_again["time"], set_again["triggerTime"]) == (T0 + 4_000, T0 + 9_000)
    await venue.advance(4.9)
    assert await ann.sync() == []
    await venue.advance(0.1)
    (gone,) = await ann.sync()
    assert (gone["status"], gone["reason"], gone["order"]["id"]) == (
        *("cancelled", "cancel_after"), placed["order"]["id"],
    )  # fmt: skip
    await ann.ask(order("bid", 10, 2, "2"))
    await venue.advance(100)
    assert venue.open_orders == [ann.user_id], "it has fired once"


async def test_the_switch_can_be_switched_off(make_venue):
    venue = await make_venue()
    ann = await venue.user()
    await ann.ask({"op": "cancelAfter", "ref": "c", "ms": 5_000})
    await ann.ask(order("bid", 10, 2, "1"))
    assert await ann.ask({"op": "cancelAfter", "ref": "d", "ms": 0}) == {
        "event": "cancelAfterSet", "ref": "d", "time": T0, "triggerTime": None,
    }  # fmt: skip
    await venue.advance(100)
    assert venue.open_orders == [ann.user_id]


@pytest.mark.parametrize("down_s", [0, 4, 100])
async def test_the_switch_survives_the_connection_and_the_server(make_venue, down_s):
    venue = await make_venue()
    ann = await venue.user()
    await ann.ask(order("bid", 10, 2, "1"))
    await ann.ask({"op": "cancelAfter", "ref": "c", "ms": 5_000})
    await venue.stop()
    venue.clock.advance(down_s)
    await venue.start()
    await venue.advance(max(0, 4.9 - down_s))
    assert venue.open_orders == [ann.user_id] * (down_s < 5)
    await venue.advance(0.1)
    assert venue.open_orders == []


# ---- delisting -----------------------------------------------------------------------------------


async def test_who_had_orders_in_a_delisted_security_can_ask_what_became_of_them(make_venue):
    venue = await make_venue()
    ann = await venue.user()
    terms = {"security": "FINE", "clientOrderId": "mine"}
    placed = (await ann.ask(order("bid", 0.5, 2, "1", **terms)))["order"]
    await ann.ask(order("bid", 10, 2, "2"))
    await venue.stop()
    with pytest.raises(StoreRefused, match="--delist FINE"):
        await venue.start(instruments=SPECS[:1])
    venue.clock.advance(5)
    await venue.start(instruments=SPECS[:1], delist=("FINE",))
    back = await venue.user(resume=ann.token)
    (listed,) = (await back.next())["orders"]
    assert listed["security"] == "COIN"
    by_id = await back.ask({"op": "order", "ref": "i", "id": placed["id"]})
    by_name = await back.ask({"op": "order", "ref": "n", "clientOrderId": "mine"})
    for found in (by_id, by_name):
        assert (found["status"], found["reason"], found["order"]) == (
            *("cancelled", "delisted"), placed,
        )  # fmt: skip
    refused = await back.ask(order("bid", 0.5, 2, "3", security="FINE"))
    assert refused["code"] == "unknown_security"
