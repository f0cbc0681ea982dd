"""The operator acts on a running server; nobody else does, and everything is noted."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import aiohttp
import pytest

from fastbook_server.channels.order_channel import Unavailable
from fastbook_server.store.memory import MemoryDatabase, MemoryStore
from fastbook_wire.words import Code
from peers import get, order

TOKEN = "the-operator's-own-secret"
ACTIONS = ("halt", "resume", "delist", "cancel", "disconnect", "drain", "undrain")


async def ask(server, name: str, token: str | None = TOKEN, method: str = "POST", **body):
    """Return status and answer of a request of the operator."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    url = f"{server.url}/admin/{name}"
    async with aiohttp.ClientSession() as http:
        got = await http.request(method, url, json=body or None, headers=headers)
        async with got:
            return got.status, await got.json()


@pytest.fixture
async def venue(serve):
    """A server with an operator, and the data that it keeps."""
    data = MemoryDatabase()
    server = await serve(MemoryStore(data), admin_token=TOKEN)
    server.data = data
    return server


@pytest.mark.parametrize("name", ["sessions", *ACTIONS])
@pytest.mark.parametrize("token", [None, "", "a-guess-of-the-secret-token", f"{TOKEN}x"])
async def test_nobody_acts_without_the_token(venue, name, token):
    method = "GET" if name == "sessions" else "POST"
    status, answer = await ask(venue, name, token, method, security="COIN")
    assert (status, answer["code"]) == (401, "unauthorized")
    assert venue.data.operator_actions == []


@pytest.mark.parametrize("name", ["sessions", *ACTIONS])
async def test_without_a_token_there_is_nothing_to_act_with(serve, name):
    status, _ = await ask(await serve(), name, method="GET")
    assert status == 404


async def test_a_halted_security_takes_deletes_only_also_after_a_restart(venue, serve, join):
    ann = await join(venue, feed="none")
    placed = await ann.ask(order("bid", 10, 1, "1"))
    assert (await ask(venue, "halt", security="COIN"))[0] == 200
    assert (await ann.ask(order("bid", 10, 1, "2")))["code"] == "halted"
    amend = {"op": "amend", "ref": "3", "id": placed["order"]["id"], "price": 9}
    assert (await ann.ask(amend))["code"] == "halted"
    assert (await ann.ask(order("bid", 10, 1, "4", security="FINE")))["status"] == "open"
    assert status_of(await get(venue, "/api/instruments")) == "halted"
    assert (await join(venue)).welcome["instruments"][0]["status"] == "halted"

    again = await serve(MemoryStore(venue.data), admin_token=TOKEN)
    ann = await join(again, feed="none", resume=ann.token)
    assert ann.welcome["instruments"][0]["status"] == "halted"
    await ann.next()
    assert (await ann.ask(order("bid", 10, 1, "5")))["code"] == "halted"
    delete = {"op": "delete", "ref": "6", "id": placed["order"]["id"]}
    assert (await ann.ask(delete))["status"] == "cancelled"
    assert (await ask(again, "resume", security="COIN"))[0] == 200
    assert (await ann.ask(order("bid", 10, 1, "7")))["status"] == "open"
    assert status_of(await get(again, "/api/instruments")) == "open"
    noted = [(a.action, a.security, a.count) for a in venue.data.operator_actions]
    assert noted == [("halt", "COIN", 0), ("resume", "COIN", 0)]


def status_of(answer: tuple[int, str]) -> str:
    return json.loads(answer[1])["instruments"][0]["status"]


async def test_a_resumption_opens_what_the_settings_have_halted(serve, join):
    from trading import SPECS

    from fastbook_server.values.instruments import InstrumentSpec

    halted = InstrumentSpec(SPECS[0].security, SPECS[0].tick, SPECS[0].lot, "halted")
    server = await serve(instruments=(halted, *SPECS[1:]), admin_token=TOKEN)
    ann = await join(server, feed="none")
    assert (await ann.ask(order("bid", 10, 1, "1")))["code"] == "halted"
    await ask(server, "resume", security=halted.security)
    assert (await ann.ask(order("bid", 10, 1, "2")))["status"] == "open"


@pytest.mark.one_shard("each shard has a row of operator_actions")
async def test_orders_of_a_user_or_of_all_are_cancelled_and_their_users_told(venue, join):
    ann, bob = await join(venue, feed="none"), await join(venue, feed="none")
    for peer in (ann, bob):
        for n, security in enumerate(("COIN", "FINE", "COIN")):
            await peer.ask(order("bid", 10, 1, n, security=security))
    assert (await ask(venue, "cancel", userId=ann.user_id, security="COIN"))[1]["orders"] == 2
    told = await ann.take(2)
    assert [(f["status"], f["reason"]) for f in told] == [("cancelled", "operator")] * 2
    assert (await ask(venue, "cancel", userId=ann.user_id))[1]["orders"] == 1
    assert (await ask(venue, "cancel", all=True, security="FINE"))[1]["orders"] == 1
    assert (await ask(venue, "cancel", all=True))[1]["orders"] == 2
    assert [f["reason"] for f in await bob.take(3)] == ["operator"] * 3
    actions = venue.data.operator_actions
    assert [a.count for a in actions] == [2, 1, 1, 2]
    assert [a.user_id for a in actions] == [ann.user_id, ann.user_id, None, None]


async def test_a_delisted_security_is_halted_and_empty(venue, serve, join):
    from trading import SPECS

    ann = await join(venue, feed="none")
    await ann.ask(order("bid", 10, 1, "1"))
    assert (await ask(venue, "delist", security="COIN"))[1]["orders"] == 1
    assert (await ann.next())["reason"] == "delisted"
    assert (await ann.ask(order("bid", 10, 1, "2")))["code"] == "halted"
    await serve(MemoryStore(venue.data), instruments=SPECS[1:])  # which open orders would forbid


async def test_sessions_are_listed_and_a_user_is_disconnected(venue, join):
    ann, bob = await join(venue, feed="none"), await join(venue, feed="none", security="FINE")
    _, answer = await ask(venue, "sessions", method="GET")
    seen = [(s["userId"], s["address"], s["security"]) for s in answer["sessions"]]
    assert seen == [(ann.user_id, "127.0.0.1", "COIN"), (bob.user_id, "127.0.0.1", "FINE")]
    assert (await ask(venue, "disconnect", userId=ann.user_id))[1]["sessions"] == 1
    assert await ann.close_code() == 4002
    assert (await bob.ask({"op": "ping", "ref": 1}))["event"] == "pong"
    again = await join(venue, feed="none", resume=ann.token)
    assert again.user_id == ann.user_id
    assert [a.action for a in venue.data.operator_actions] == ["disconnect"]


async def test_a_draining_server_takes_no_new_sessions_and_keeps_the_old(venue, join):
    ann = await join(venue, feed="none")
    await ask(venue, "drain")
    assert (await get(venue, "/readyz"))[0] == 503
    assert await get(venue, "/ws") == (
        503,
        '{"code": "unavailable", "message": "the server is draining: no new connections"}',
    )
    assert (await ann.ask(order("bid", 10, 1, "1")))["status"] == "open"
    await ask(venue, "undrain")
    assert (await get(venue, "/readyz"))[0] == 200
    await join(venue)


@pytest.mark.parametrize(
    ("name", "body", "says"),
    [
        ("halt", {}, "security: expected one, got none"),
        ("halt", {"security": "NOPE"}, "security: expected one of COIN, FINE"),
        ("cancel", {}, 'expected a userId, or "all": true'),
        ("cancel", {"all": True, "userId": "user#x"}, 'expected a userId, or "all": true'),
        ("cancel", {"all": "yes"}, "Expected `bool`"),
        ("cancel", {"everything": True}, "unknown field `everything`"),
        ("disconnect", {}, "userId: expected one, got none"),
        ("drain", {"security": "x" * 2_000}, "expected at most 1000 bytes"),
    ],
)
async def test_a_wrong_wish_is_refused_and_does_nothing(venue, name, body, says):
    status, answer = await ask(venue, name, **body)
    assert (status, answer["code"], says in answer["message"]) == (400, "bad_request", True)
    assert venue.data.operator_actions == []


@pytest.mark.one_process("a matcher that stops is another process")
async def test_a_stopping_server_takes_no_wishes(venue):
    venue.pipeline.stop()
    status, answer = await ask(venue, "halt", security="COIN")
    assert (status, answer["code"]) == (503, "unavailable")


@pytest.mark.parametrize("name", ["cancel", "disconnect"])
@pytest.mark.parametrize("user_id", ["", "\0", "a b", "user#\u00e9", "u" * 101])
async def test_a_user_id_that_can_be_none_is_refused(venue, name, user_id):
    status, answer = await ask(venue, name, userId=user_id)
    assert (status, answer["code"]) == (400, "bad_request")
    assert venue.data.operator_actions == []


@pytest.mark.parametrize("size", [1, 7, 40])
async def test_a_body_may_come_in_pieces(venue, size):
    body = b'{"security":"COIN"}'
    reader, writer = await asyncio.open_connection("127.0.0.1", venue.port)
    head = f"POST /admin/halt HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
    for at in range(0, len(body), size):
        await asyncio.sleep(0.01)
        writer.write(body[at : at + size])
    assert (await reader.readline()).split()[1] == b"200"
    writer.close()
    assert [a.action for a in venue.data.operator_actions] == ["halt"]


async def test_a_drain_that_is_refused_has_not_happened(venue, join, monkeypatch):
    def refuse(*_):
        raise Unavailable(Code.UNAVAILABLE, "the database is away", 100)

    monkeypatch.setattr(venue.gateway._admin, "_matcher", SimpleNamespace(submit=refuse))
    assert (await ask(venue, "drain"))[0] == 503
    assert (await get(venue, "/readyz"))[0] == 200
    await join(venue)
