"""How much one connection may ask for, and what becomes of who asks for more."""

from __future__ import annotations

import pytest
from fakes import FakeClock

from peers import order

CONTINUATION, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10
MALFORMED = b"{"


async def test_more_commands_than_the_rate_are_refused_each_in_its_own_shape(serve, join):
    server = await serve(commands_per_second_max=4, cancels_per_second_reserve=1)
    server.gateway.door._clock = FakeClock()
    ann, bob = await join(server, feed="none"), await join(server, feed="none")
    commands = [{"op": "ping", "ref": n} for n in range(3)]
    commands += [
        order("bid", 10, 1, 3),
        {"op": "order", "ref": 4, "id": "x"},
        {"op": "orders", "ref": 5},
        {"op": "unsubscribe", "ref": 6, "security": "COIN"},
        {"op": "subscribe", "ref": 7, "security": "COIN"},
        {"op": "ping", "ref": 8},
    ]
    await ann.ws.send_str("{")  # no command: costs one even so
    for command in commands:
        await ann.send(command)
    frames = await ann.take(10)
    assert [(f["event"], f.get("ref"), f.get("code")) for f in frames] == [
        ("error", None, "bad_frame"),
        *(("pong", n, None) for n in range(3)),
        *(("order", n, "rate_limited") for n in (3, 4)),
        *(("error", n, "rate_limited") for n in (5, 6, 7, 8)),
    ]
    assert {f["retryAfterMs"] for f in frames[4:]} == {251}
    assert all("commands_per_second_max 4" in f["message"] for f in frames[4:])
    assert (await bob.ask(order("bid", 10, 1, "1")))["order"]["id"], "the limit is each one's own"


async def test_who_has_used_up_the_rate_can_still_cancel(serve, join):
    server = await serve(commands_per_second_max=4, cancels_per_second_reserve=2)
    clock = FakeClock()
    server.gateway.door._clock = clock
    ann = await join(server, feed="none")
    for ref in range(6):
        await ann.send(order("bid", 10, 1, ref))
    frames = sorted(await ann.take(6), key=lambda frame: frame["ref"])
    assert [f.get("code") for f in frames] == [None] * 4 + ["rate_limited"] * 2
    deleted = await ann.ask({"op": "delete", "ref": "7", "id": frames[0]["order"]["id"]})
    all_deleted = await ann.ask({"op": "deleteAll", "ref": "8"})
    assert (deleted["status"], all_deleted["count"]) == ("cancelled", 3)
    refused = await ann.ask({"op": "delete", "ref": "9", "id": "x"})
    assert (refused["code"], refused["retryAfterMs"]) == ("rate_limited", 251)
    clock.advance(0.5)
    for ref in range(2):
        assert (await ann.ask(order("bid", 10, 1, ref)))["status"] == "open"
    assert (await ann.ask({"op": "deleteAll", "ref": "10"}))["count"] == 2, "from the reserve"


@pytest.mark.one_shard("the reports of a deleteAll may come before its reply")
async def test_each_command_of_an_array_costs_one(serve, join):
    server = await serve(commands_per_second_max=3, cancels_per_second_reserve=1)
    server.gateway.door._clock = FakeClock()
    ann = await join(server, feed="none")
    array = [order("bid", 10, 1, ref) for ref in range(5)]
    await ann.send([*array, {"op": "deleteAll", "ref": 5}])
    refused, replies = await ann.take(2), await ann.take(4)
    assert [(f["ref"], f["code"]) for f in refused] == [(n, "rate_limited") for n in (3, 4)]
    assert [(f["ref"], f["status"]) for f in replies[:3]] == [(n, "open") for n in range(3)]
    assert (replies[3]["ref"], replies[3]["count"]) == (5, 3), "from the reserve"


async def test_frames_of_every_kind_cost_their_sender_a_command(serve, raw):
    server = await serve(commands_per_second_max=4)
    server.gateway.door._clock = FakeClock()
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    peer.frame(TEXT, MALFORMED)
    peer.frame(PING, b"1")
    peer.frame(PONG, b"")
    for ref in range(2):
        peer.text({"op": "ping", "ref": ref})
    peer.frame(TEXT, MALFORMED)
    peer.frame(PING, b"2")
    assert (await peer.event())["code"] == "bad_frame"
    assert await peer.next() == (PONG, b"1")
    assert [(await peer.event()).get("code") for _ in range(3)] == [None, *["rate_limited"] * 2]
    assert await peer.next() == (PONG, b"2"), (
        "beyond the rate, too: the peer must not think us dead"
    )


@pytest.mark.parametrize(
    ("opcode", "payload", "rate"),
    [
        (TEXT, MALFORMED, 1_000_000),
        (TEXT, b"[]", 1_000_000),
        (TEXT, b"[1,2,3]", 1_000_000),
        (TEXT, b'{"op":"pong"}', 1_000_000),
        (TEXT, MALFORMED, 1),
        (TEXT, b'{"op":"ping"}', 1),
        (PING, b"", 1),
        (PONG, b"", 1),
    ],
    ids=[
        "malformed",
        "empty arrays",
        "malformed arrays",
        "unknown",
        "malformed beyond the rate",
        "beyond the rate",
        "pings",
        "pongs",
    ],
)
async def test_who_goes_on_being_refused_is_closed_with_4029(
    serve, join, raw, opcode, payload, rate
):
    server = await serve(commands_per_second_max=rate, refusals_per_second_max=20)
    server.gateway.door._clock = FakeClock()
    ann, peer = await join(server, feed="none"), await raw(server, "/ws?feed=none")
    await peer.event()
    for _ in range(30):
        peer.frame(opcode, payload)
    frames = []
    while not frames or frames[-1][0] != CLOSE:
        frames.append(await peer.next())
    refused = sum(kind == TEXT and b'"code"' in said for kind, said in frames)
    assert refused == (21 if opcode == TEXT else 0), "no frame after that was looked at"
    assert frames[-1][1] == (4029).to_bytes(2, "big") + b"refusals_per_second_max 20 reached"
    assert (await ann.ask({"op": "ping", "ref": 1}))["event"] == "pong"


async def test_refusals_within_the_bound_are_only_that(serve, raw):
    server = await serve(refusals_per_second_max=20)
    clock = FakeClock()
    server.gateway.door._clock = clock
    peer = await raw(server, "/ws?feed=none")
    await peer.event()
    for _ in range(3):
        for _ in range(20):
            peer.frame(TEXT, MALFORMED)
        assert {(await peer.event())["code"] for _ in range(20)} == {"bad_frame"}
        clock.advance(1)
