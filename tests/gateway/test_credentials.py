"""Secrets of a handshake: where they may stand, and what is free without them."""

from __future__ import annotations

import aiohttp
import pytest

from fastbook_client.connection import dial
from fastbook_client.errors import Refused
from peers import Peer, get, order

TOKEN = "open-sesame-open-sesame"


async def connected(server, *protocols: str, query: str = "", **headers: str):
    """Return a new peer, and the subprotocol that was agreed on."""
    http = aiohttp.ClientSession()
    try:
        ws = await http.ws_connect(
            f"{server.url}/ws?feed=none{query}", protocols=protocols, headers=headers
        )
    except BaseException:
        await http.close()
        raise
    return await Peer.greeted(ws), ws.protocol, http


@pytest.fixture
async def open_peer():
    """A function that connects with subprotocols and headers."""
    sessions = []

    async def connect(server, *protocols: str, **more: str):
        peer, agreed, http = await connected(server, *protocols, **more)
        sessions.append(http)
        return peer, agreed

    yield connect
    for http in sessions:
        await http.close()


async def test_a_resume_token_may_stand_in_a_header(serve, open_peer):
    server = await serve()
    ann, agreed = await open_peer(server, "fastbook")
    again, _ = await open_peer(server, "fastbook", f"resume.{ann.token}")
    assert (agreed, again.user_id) == ("fastbook", ann.user_id)
    by_query, agreed = await open_peer(server, query=f"&resume={ann.token}")
    assert (agreed, by_query.user_id) == (None, ann.user_id)


async def test_the_client_keeps_tokens_out_of_the_address(serve, monkeypatch):
    server = await serve()
    addresses = []
    admit = server.gateway.door._admission.consider
    monkeypatch.setattr(
        server.gateway.door._admission,
        "consider",
        lambda request: addresses.append(request.path_qs) or admit(request),
    )
    async with dial(server.url) as first:
        user_id, token = first.user_id, first.resume_token
    async with dial(server.url, resume=token) as second:
        assert second.user_id == user_id
    async with dial(server.url, resume="no token, but sürely a text") as third:
        assert third.user_id != user_id
    assert addresses == ["/ws"] * 3


async def test_two_resume_tokens_are_one_too_many(serve, open_peer):
    server = await serve()
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await open_peer(server, "fastbook", "resume.a", query="&resume=a")
    assert caught.value.status == 400


COMMANDS = (
    order("bid", 10, 1, "1"),
    {"op": "delete", "ref": "1", "clientOrderId": "a"},
    {"op": "amend", "ref": "1", "clientOrderId": "a", "price": 11},
    {"op": "deleteAll", "ref": "1"},
    {"op": "cancelAfter", "ref": "1", "ms": 1_000},
    {"op": "orders", "ref": "1"},
    {"op": "order", "ref": "1", "clientOrderId": "a"},
)


async def test_without_the_token_one_may_watch_and_no_more(serve, open_peer):
    server = await serve(token=TOKEN)
    stranger, _ = await open_peer(server)
    for command in COMMANDS:
        assert (await stranger.ask(command))["code"] == "unauthorized"
    await stranger.send([order("bid", 10, 1, "2"), order("bid", 10, 1, "3")])
    assert [(await stranger.next())["code"] for _ in range(2)] == ["unauthorized"] * 2
    watch = {"op": "subscribe", "ref": "4", "security": "COIN", "channel": "depth"}
    assert (await stranger.ask(watch))["event"] == "subscribed"
    assert server.pipeline.exchange.apply  # nothing has reached it:
    assert (await get(server, "/api/book"))[1].endswith('"aggOrderBook":{"ask":[],"bid":[]}}')


@pytest.mark.parametrize("way", ["subprotocol", "header"])
async def test_with_the_token_one_may_trade(serve, open_peer, way):
    server = await serve(token=TOKEN)
    if way == "subprotocol":
        ann, _ = await open_peer(server, "fastbook", f"token.{TOKEN}")
    else:
        ann, _ = await open_peer(server, Authorization=f"Bearer {TOKEN}")
    assert (await ann.ask(order("bid", 10, 1, "1")))["status"] == "open"


@pytest.mark.parametrize("query", ["", "&resume=x", "&cancelOnDisconnect=true"])
@pytest.mark.parametrize("given", [(), ("fastbook", f"token.{TOKEN}x"), ("fastbook", "token.")])
async def test_a_wrong_token_is_refused_and_none_where_orders_are_at_stake(
    serve, open_peer, query, given
):
    server = await serve(token=TOKEN)
    if not (query or given):
        await open_peer(server)
        return
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await open_peer(server, *given, query=query)
    assert (caught.value.status, caught.value.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_the_client_presents_the_token_and_says_why_it_is_refused(serve):
    server = await serve(token=TOKEN)
    async with dial(server.url, token=TOKEN) as first:
        token = first.resume_token
    async with dial(server.url, resume=token, token=TOKEN) as second:
        assert second.user_id == first.user_id
    with pytest.raises(Refused, match="expected that of this server"):
        async with dial(server.url, token="another-token-altogether"):
            pass


async def test_a_public_user_id_authorises_nothing(serve, open_peer):
    server = await serve()
    ann, _ = await open_peer(server)
    await ann.ask(order("bid", 10, 1, "1"))
    suffix = ann.user_id.removeprefix("user#")
    for guess in (
        ann.user_id,
        suffix,
        f"{suffix}.",
        f"{suffix}.{ann.token.partition('.')[2][:-1]}",
    ):
        eve, _ = await open_peer(server, query=f"&resume={guess.replace('#', '%23')}")
        assert eve.user_id != ann.user_id
        assert (await eve.ask({"op": "orders", "ref": "o"}))["orders"] == []
    status, _ = await get(server, "/api/fills", Authorization=f"Bearer {ann.user_id}")
    assert status == 401
