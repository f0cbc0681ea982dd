"""Who is believed to speak for others, and what a client behind a proxy sees of the server."""

from __future__ import annotations

import json
import re

import pytest
from aiohttp.test_utils import make_mocked_request

from fastbook_server.gateway.http import page
from fastbook_server.gateway.proxies import HOPS_MAX, ClientView, Proxies
from peers import get

TRUSTED = ("10.0.0.0/8", "127.0.0.1")


class Transport:
    """A connection from a peer."""

    def __init__(self, peer: str) -> None:
        self.peer = peer

    def get_extra_info(self, name: str, default: object = None) -> object:
        return {"peername": (self.peer, 1)}.get(name, default)


def asked(peer: str, **headers: str) -> ClientView:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = make_mocked_request(
        "GET", "/", headers={"Host": "inside:8080"} | named, transport=Transport(peer)
    )
    return Proxies(TRUSTED).asked(request)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.1.1.1", None, "10.1.1.1"),
        ("10.1.1.1", "203.0.113.7", "203.0.113.7"),
        ("10.1.1.1", "6.6.6.6, 203.0.113.7", "203.0.113.7"),
        ("10.1.1.1", "203.0.113.7, 10.2.2.2", "203.0.113.7"),
        ("10.1.1.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("10.1.1.1", "203.0.113.7:4711", "203.0.113.7"),
        ("10.1.1.1", "[2001:db8::7]:4711", "2001:db8::7"),
        ("10.1.1.1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.1.1.1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("10.1.1.1", "6.6.6.6, unknown", "10.1.1.1"),
        ("10.1.1.1", "6.6.6.6, unknown, 10.2.2.2", "10.2.2.2"),
        ("203.0.113.9", "6.6.6.6", "203.0.113.9"),
    ],
)
def test_a_client_is_the_last_address_that_is_no_trusted_proxys(peer, forwarded, client):
    headers = {} if forwarded is None else {"X_Forwarded_For": forwarded}
    assert asked(peer, **headers).address == client


def test_only_so_many_hops_are_looked_at():
    hops = [f"10.0.{n // 256}.{n % 256}" for n in range(50_000)]
    assert asked("10.1.1.1", X_Forwarded_For=",".join(hops)).address == hops[-HOPS_MAX]
    short = ",".join(["6.6.6.6", *hops[: HOPS_MAX - 1]])
    assert asked("10.1.1.1", X_Forwarded_For=short).address == "6.6.6.6"


SAID = {
    "X_Forwarded_Proto": "https",
    "X_Forwarded_Host": "exchange.example",
    "X_Forwarded_Prefix": "/market/",
}


def test_a_trusted_proxy_tells_scheme_host_and_prefix():
    seen = asked("10.1.1.1", **SAID)
    assert (seen.url, seen.secure) == ("https://exchange.example/market", True)


def test_nobody_else_does():
    seen = asked("203.0.113.9", **SAID)
    assert (seen.url, seen.secure) == ("http://inside:8080", False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Proto", "javascript"),
        ("Host", 'x"><script>'),
        ("Host", "a b"),
        ("Prefix", "market"),
        ("Prefix", '/"><script>'),
        ("Prefix", "//evil.example"),
        ("Prefix", "/"),
    ],
)
def test_what_no_proxy_would_say_is_ignored(name, value):
    assert asked("10.1.1.1", **{f"X_Forwarded_{name}": value}).url == "http://inside:8080"


def test_the_nearest_proxy_is_heard_where_several_have_spoken():
    assert asked("10.1.1.1", X_Forwarded_Host="evil.example, real.example").host == "real.example"
    assert asked("10.1.1.1", X_Forwarded_Proto="http, wss").secure


def test_an_ipv6_site_is_one_client():
    counted = {Proxies.counted_as(a) for a in ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::")}
    assert counted == {"2001:db8::/64", "2001:db8:0:1::/64"}
    assert Proxies.counted_as("::ffff:10.0.0.1") == "10.0.0.1"


async def test_each_client_behind_a_proxy_has_its_own_bound(serve, raw):
    server = await serve(sessions_per_address_max=1, trusted_proxies=("127.0.0.1",))
    statuses = []
    for client in ("203.0.113.7", "203.0.113.8", "203.0.113.7", "6.6.6.6, 203.0.113.8"):
        peer = await raw(server, headers=f"X-Forwarded-For: {client}\r\n")
        statuses.append(int(peer.head.split()[1]))
    assert statuses == [101, 101, 429, 429]


async def test_the_documents_say_where_the_client_finds_us(serve):
    server = await serve(trusted_proxies=("127.0.0.1",))
    said = {name.replace("_", "-"): value for name, value in SAID.items()}
    _, text = await get(server, "/docs/openapi.json", **said)
    assert json.loads(text)["servers"] == [{"url": "https://exchange.example/market"}]
    _, text = await get(server, "/docs/asyncapi.json", **said)
    assert json.loads(text)["servers"]["this"] == {
        "host": "exchange.example",
        "protocol": "wss",
        "pathname": "/market",
    }
    _, text = await get(server, "/docs", **said)
    assert 'href="/market/docs/style.css"' in text
    _, text = await get(server, "/", **said)
    assert "wss://exchange.example/market/ws" in text


async def test_a_page_behind_a_proxy_comes_from_a_network(serve):
    """400: let in, but it is no WebSocket handshake."""
    server = await serve(trusted_proxies=("127.0.0.1",))
    page = {"Host": "exchange.example", "Origin": "https://exchange.example"}
    status, _ = await get(server, "/ws", X_Forwarded_For="203.0.113.7", **page)
    assert status == 400
    foreign = {"Host": "exchange.example", "Origin": "https://evil.example"}
    status, _ = await get(server, "/ws", X_Forwarded_For="203.0.113.7", **foreign)
    assert status == 403


def test_the_page_asks_for_nothing_at_the_root_which_may_be_anothers():
    """Every address is relative to the page, so that it works below any prefix."""
    for name, asset in page.load().items():
        if not name.startswith("vendor/"):
            found = re.findall(
                r"""(?:href|src|fetch\(|URL\(|import|from)\s*[=(]?\s*["'`]/[^"'`]*""",
                asset.plain.decode(),
            )
            assert found == [], name
