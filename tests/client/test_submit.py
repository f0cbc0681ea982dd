"""Several commands of a bot in one frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fastbook_client import NotConnected, OrderState, Rejected, Unanswered, connect
from fastbook_wire.commands import Add, Delete, DeleteAll, GetOrder, NewOrder, Orders

Serve = Callable[..., Any]


def limit(side: Any, price: float, **more: Any) -> NewOrder:
    return NewOrder(type=side, exec_type="limit", price=price, amount=1.0, **more)


async def test_each_command_gets_what_its_own_method_would_return_or_raise(serve: Serve) -> None:
    server = await serve()
    async with connect(server.url, feed=False) as market:
        mine = limit("bid", 10.0, client_order_id="mine")
        got = await market.submit(
            [
                mine,
                Add(order=limit("ask", 10.5)),
                limit("ask", 11.0),
                Delete(client_order_id="mine"),
            ]
        )
        assert [type(one) for one in got] == [OrderState, Rejected, OrderState, OrderState]
        assert [one.status for one in got if isinstance(one, OrderState)] == [
            *("open", "open", "cancelled")
        ]
        assert isinstance(got[2], OrderState)
        assert got[2].client_order_id is not None
        again = await market.submit(
            [GetOrder(client_order_id="mine"), DeleteAll(type="bid"), DeleteAll()]
        )
        assert isinstance(again[0], OrderState)
        assert (again[0].status, again[1:]) == ("cancelled", [0, 1])
        assert mine == limit("bid", 10.0, client_order_id="mine"), "it is the caller's"


async def test_the_same_command_may_stand_in_a_frame_twice(serve: Serve) -> None:
    server = await serve()
    async with connect(server.url, feed=False) as market:
        order = limit("bid", 10.0)
        states = await market.submit([order] * 100)
        assert len({state.id for state in states if isinstance(state, OrderState)}) == 100
        assert await market.submit([DeleteAll()] * 2) == [100, 0]


@pytest.mark.parametrize("count", [0, 101])
async def test_a_frame_has_1_to_100_commands(serve: Serve, count: int) -> None:
    server = await serve()
    async with connect(server.url, feed=False) as market:
        with pytest.raises(ValueError, match=f"expected 1 to 100 commands, got {count}"):
            await market.submit([limit("bid", 10.0)] * count)


@pytest.mark.parametrize("commands", [5, "x", None, [1], [limit("bid", 10.0), "x"], [Orders()]])
async def test_what_is_no_list_of_order_commands_is_refused(serve: Serve, commands: Any) -> None:
    server = await serve()
    async with connect(server.url, feed=False) as market:
        with pytest.raises(TypeError, match=r"^commands: expected "):
            await market.submit(commands)
        assert await market.orders() == ()


async def test_after_a_loss_each_is_unanswered_and_its_outcome_can_be_asked(
    fastbook_server: Any,
) -> None:
    async with connect(fastbook_server.url, feed=False) as market:
        fastbook_server.faults.lose_ack()
        got = await market.submit([limit("bid", 10.0), limit("bid", 11.0), DeleteAll(type="ask")])
        assert [type(one) for one in got] == [Unanswered] * 3
        with pytest.raises(NotConnected):
            await market.submit([limit("bid", 12.0)])
