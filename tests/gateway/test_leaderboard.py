"""Users by profit: from the past, from batches, over HTTP; and not at all unless asked for."""

from __future__ import annotations

import asyncio

import pytest

from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_server.values.instruments import InstrumentSpec
from peers import get, order

pytestmark = pytest.mark.usefixtures("told_either_way")


def shown(answer, **names):
    """Return (rank, name, profit, fills) of each user of an answer."""
    named = {peer.user_id: name for name, peer in names.items()}
    return [(u["rank"], named[u["userId"]], u["profit"], u["fills"]) for u in answer["users"]]


async def test_users_are_ranked_by_what_they_sold_bought_and_hold(serve, join, web):
    server = await serve(leaderboard=True)
    ann, bob, cat = [await join(server, feed="none") for _ in range(3)]
    empty = {"currency": "", "currencies": [""], "users": []}
    assert await web(server).get("leaderboard") == empty
    await ann.ask(order("ask", 10, 2, "1"))
    await bob.ask(order("bid", 10, 2, "2"))  # bob holds 2 at 10, ann owes them
    assert shown(await web(server).get("leaderboard"), ann=ann, bob=bob) in (
        [(1, "ann", 0.0, 1), (1, "bob", 0.0, 1)],
        [(1, "bob", 0.0, 1), (1, "ann", 0.0, 1)],
    )
    await cat.ask(order("bid", 12, 1, "3"))
    await bob.ask(order("ask", 12, 1, "4"))  # bob has earned 2 and holds 1, now worth 12
    answer = await web(server).get("leaderboard")
    assert shown(answer, ann=ann, bob=bob, cat=cat) == [
        *((1, "bob", 4.0, 2), (2, "cat", 0.0, 1), (3, "ann", -4.0, 1))
    ]
    assert await web(server).get("leaderboard?limit=1") == empty | {"users": answer["users"][:1]}
    await ann.ask(order("bid", 12, 1, "5"))
    await ann.ask(order("ask", 12, 1, "6"))  # with herself: no profit
    assert shown(await web(server).get("leaderboard"), ann=ann, bob=bob, cat=cat)[2] == (
        *(3, "ann", -4.0, 3),
    )


async def test_each_currency_has_a_ranking_of_its_own(serve, join, web):
    names = ("BTC-USD", "ETH-BTC", "SOL/USD")
    specs = tuple(InstrumentSpec.parse(f"{name}:0.01:0.01") for name in names)
    server = await serve(instruments=specs, leaderboard=True)
    ann, bob = await join(server, feed="none"), await join(server, feed="none")
    for security, gain in zip(names, (1, 5, 2), strict=True):
        for ref, (who, side, price) in enumerate(
            ((ann, "ask", 10), (bob, "bid", 10), (bob, "ask", 10 + gain), (ann, "bid", 10 + gain))
        ):
            await who.ask(order(side, price, 1, str(ref), security=security))
    ask = web(server)
    answer = await ask.get("leaderboard")
    assert (answer["currency"], answer["currencies"]) == ("USD", ["USD", "BTC"])
    assert shown(answer, ann=ann, bob=bob) == [(1, "bob", 3.0, 4), (2, "ann", -3.0, 4)]
    answer = await ask.get("leaderboard?currency=BTC")
    assert shown(answer, ann=ann, bob=bob) == [(1, "bob", 5.0, 2), (2, "ann", -5.0, 2)]
    status, answer, _ = await ask.ask("leaderboard?currency=EUR")
    assert (status, answer["parameter"]) == (400, "currency")


async def test_a_leaderboard_goes_on_after_a_restart(serve, join, web):
    database = MemoryDatabase()
    first = await serve(MemoryStore(database))  # without one: its fills count later all the same
    ann, bob = await join(first, feed="none"), await join(first, feed="none")
    await ann.ask(order("ask", 10, 2, "1"))
    await bob.ask(order("bid", 10, 2, "2"))
    assert await asyncio.gather(first.stop(), ann.close_code(), bob.close_code()) == [
        *(True, 1001, 1001)
    ]
    second = await serve(MemoryStore(database), leaderboard=True)
    bob = await join(second, resume=bob.token)
    cat = await join(second, feed="none")
    await bob.ask(order("ask", 13, 2, "3"))
    await cat.ask(order("bid", 13, 1, "4"))
    assert shown(await web(second).get("leaderboard"), ann=ann, bob=bob, cat=cat) == [
        *((1, "bob", 6.0, 2), (2, "cat", 0.0, 1), (3, "ann", -6.0, 1))
    ]


async def test_there_is_none_unless_it_is_asked_for(serve, web):
    plain, keeping = await serve(), await serve(leaderboard=True)
    status, answer, _ = await web(plain).ask("leaderboard")
    assert (status, answer["code"]) == (404, "not_found")
    assert "leaderboard" not in (await get(plain, "/version"))[1]
    assert '"leaderboard": true' in (await get(keeping, "/version"))[1]
    status, answer, _ = await web(keeping).ask("leaderboard?limit=0")
    assert (status, answer["parameter"]) == (400, "limit")
