"""More orders than can be made durable: who is refused, who waits, and what still gets through."""

from __future__ import annotations

import asyncio

import pytest

from fastbook_server.gateway import decode
from fastbook_server.store.memory import MemoryStore
from peers import order, until

refused_for_room = pytest.mark.one_process("what finds no room waits in the gateway")


@pytest.fixture
async def crowd(serve, join):
    """A server whose commits wait, and ten clients whose orders have filled its room."""
    store = MemoryStore()
    server = await serve(store, inbox_commands_max=100, batch_commands_max=50)
    peers = [await join(server, feed="none") for _ in range(10)]
    placed = [(await peer.ask(order("bid", 10, 1, "first")))["order"]["id"] for peer in peers]
    store.hold()
    for ref in range(9):
        for peer in peers:
            await peer.send(order("bid", 10, 1, ref))
    await peers[-1].send(order("bid", 10, 1, "last"))
    await until(lambda: server.pipeline.uncommitted_commands >= 91)
    return store, server, peers, placed


@refused_for_room
async def test_a_crowds_orders_are_refused_at_once_and_find_room_when_they_are_told_to_retry(crowd):
    store, server, peers, _ = crowd
    for n, peer in enumerate(peers[:4]):
        await peer.send(order("bid", 10, 1, ("late", 7, "é", 'q"')[n]))
    refusals = [await peer.next() for peer in peers[:4]]
    assert [frame["ref"] for frame in refusals] == ["late", 7, "é", 'q"']
    for frame in refusals:
        assert list(frame) == ["event", "ref", "status", "code", "message", "retryAfterMs"]
        assert (frame["status"], frame["code"]) == ("rejected", "overloaded")
        assert "inbox_commands_max" in frame["message"]
    waits = [frame["retryAfterMs"] for frame in refusals]
    assert sorted(waits) == waits
    assert 1 <= waits[0] <= waits[-1] <= 1_000
    store.release()
    await asyncio.sleep(waits[-1] / 1_000)
    assert (await peers[0].ask(order("bid", 10, 1, "again")))["status"] == "open"
    assert server.pipeline.uncommitted_commands == 0


@pytest.mark.parametrize(
    ("command", "refused"),
    [
        pytest.param({"op": "amend", "id": None, "amount": 2}, True, marks=refused_for_room),
        pytest.param(
            {"op": "add", "order": {"type": "bid", "execType": "market", "amount": 1}},
            True,
            marks=refused_for_room,
        ),
        ({"op": "delete", "id": None}, False),
        ({"op": "deleteAll"}, False),
        ({"op": "order", "id": None}, False),
        ({"op": "orders"}, False),
        ({"op": "cancelAfter", "ms": 60_000}, False),
        ({"op": "ping"}, False),
    ],
    ids=lambda value: value.get("op") if isinstance(value, dict) else "",
)
async def test_in_a_crowd_only_new_work_is_refused(crowd, command, refused):
    store, _, peers, placed = crowd
    command = {k: placed[0] if v is None else v for k, v in command.items()} | {"ref": "x"}
    await peers[0].send(command)
    await peers[1].ask({"op": "ping", "ref": "p"})
    if refused:
        assert (await peers[0].next())["code"] == "overloaded"
    store.release()
    if not refused:
        replies = [await peers[0].next()]
        while replies[-1].get("ref") != "x":
            replies.append(await peers[0].next())
        assert "code" not in replies[-1]


@refused_for_room
async def test_in_a_crowd_each_command_of_an_array_is_judged_alone(crowd):
    store, _, peers, placed = crowd
    array = [order("bid", 10, 1, "new"), {"op": "delete", "ref": "old", "id": placed[0]}]
    await peers[0].send(array)
    refused = await peers[0].next()
    assert (refused["ref"], refused["code"]) == ("new", "overloaded")
    store.release()
    frames = await peers[0].sync()
    assert [f["status"] for f in frames if f.get("ref") == "old"] == ["cancelled"]


async def test_beside_one_who_sends_all_it_can_others_find_room(serve, join, raw):
    store = MemoryStore()
    server = await serve(store, inbox_commands_max=100, batch_commands_max=50)
    flood, other = await raw(server, "/ws?feed=none"), await join(server, feed="none")
    await flood.event()
    store.hold()
    for n in range(1_000):
        flood.text(order("bid", 10, 1, n))
    await until(lambda: server.pipeline.uncommitted_commands >= 50)
    await other.send(order("bid", 10, 1, "other"))
    await until(lambda: server.pipeline.uncommitted_commands >= 51)
    store.release()
    assert (await other.next())["status"] == "open"
    assert [(await flood.event())["status"] for _ in range(1_000)] == ["open"] * 1_000


@refused_for_room
async def test_in_a_crowd_a_new_order_is_refused_unread(crowd):
    """To read what is refused anyway would take time from those who have room."""
    _, _, peers, _ = crowd
    await peers[0].send('{"op":"add","ref":"r","order":"what nobody reads"}')
    assert (await peers[0].next())["code"] == "overloaded"


@pytest.mark.parametrize(
    ("frame", "ref"),
    [
        (b'{"op":"add","ref":7,"order":{}}', b"7"),
        (b'{"op":"add","ref":"a b","order":{}}', b'"a b"'),
        (b'{"op":"add","ref":007,"order":{}}', None),
        (b'{"op":"add","ref":"a\\"b","order":{}}', None),
        (b'{"op":"add","ref":"\xc3\xa9","order":{}}', None),
        (b'{"op":"add","ref":"' + 65 * b"x" + b'","order":{}}', None),
        (b'{"op":"add","ref":null,"order":{}}', None),
        (b'{"op":"add","order":{},"ref":7}', None),
        (b'{"op":"delete","ref":7,"id":"x"}', None),
    ],
)
def test_only_a_ref_that_is_plain_to_see_is_read_so(frame, ref):
    assert decode.ref_of_new_order(frame) == ref
