"""``/sim``: who may turn it, and what it answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from fastbook_cli.sim.control import Change, Control
from fastbook_cli.sim.http_control import why_refused
from fastbook_cli.sim.settings import SimSettings

OWN = "127.0.0.1:8080"


class FromSomewhere:
    """A transport that says where its peer is."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self.address, 5000) if name == "peername" else default

    def is_closing(self) -> bool:
        return False


def asked(peer: str = "127.0.0.1", **headers: str) -> str | None:
    given = {"Host": OWN} | {k.replace("_", "-"): v for k, v in headers.items()}
    request = make_mocked_request("GET", "/sim", given, transport=FromSomewhere(peer))  # type: ignore[arg-type]
    return why_refused(request)


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.8.8", "::1"])
@pytest.mark.parametrize("host", [OWN, "localhost:8080", "[::1]:8080", "localhost"])
def test_this_machine_may(peer: str, host: str) -> None:
    assert asked(peer, Host=host) is None
    assert asked(peer, Host=host, Origin=f"http://{host}", Sec_Fetch_Site="same-origin") is None


@pytest.mark.parametrize(
    ("peer", "headers", "why"),
    [
        ("192.168.1.5", {}, "own machine"),
        ("2001:db8::1", {}, "own machine"),
        ("", {}, "own machine"),
        ("127.0.0.1", {"X_Forwarded_For": "1.2.3.4"}, "proxy"),
        ("127.0.0.1", {"Forwarded": "for=1.2.3.4"}, "proxy"),
        ("127.0.0.1", {"X_Forwarded_Proto": "https"}, "proxy"),
        ("127.0.0.1", {"X_Forwarded_Host": "x.org"}, "proxy"),
        ("127.0.0.1", {"X_Real_IP": "1.2.3.4"}, "proxy"),
        ("127.0.0.1", {"Via": "1.1 varnish"}, "proxy"),
        ("127.0.0.1", {"Host": "evil.example:8080"}, "evil.example"),
        ("127.0.0.1", {"Host": "127.0.0.1.evil.example"}, "evil.example"),
        ("127.0.0.1", {"Host": "[::1"}, "expected localhost"),
        (
            "127.0.0.1",
            {"Origin": "http://evil.example"},
            "origin: expected the server's own, got 'http://evil",
        ),
        ("127.0.0.1", {"Origin": "http://localhost:8080"}, "origin: expected"),
        ("127.0.0.1", {"Origin": "null"}, "origin: expected"),
        ("127.0.0.1", {"Origin": ""}, "origin: expected"),
        ("127.0.0.1", {"Sec_Fetch_Site": "cross-site"}, "another site"),
        ("127.0.0.1", {"Sec_Fetch_Site": "same-site"}, "another site"),
    ],
)
def test_others_may_not(peer: str, headers: dict[str, str], why: str) -> None:
    refusal = asked(peer, **headers)
    assert refusal is not None
    assert why in refusal


async def test_what_it_says_and_what_it_takes(serve) -> None:
    control = Control(SimSettings(rate=50.0, volatility=2.0))
    server = await serve(control=control)
    url = f"{server.url}/sim"
    bounds = {"rate": {"min": 0.1, "max": 2000.0}, "volatility": {"min": 0.1, "max": 100.0}}
    state = {"rate": 50.0, "volatility": 2.0, "running": True, "bounds": bounds}
    async with aiohttp.ClientSession() as http:

        async def put(body: str, **headers: str) -> tuple[int, Any]:
            async with http.put(url, data=body, headers=headers) as answer:
                return answer.status, await answer.json()

        async with http.get(url) as answer:
            assert (answer.status, await answer.json()) == (200, state)
        assert await put('{"rate":80}') == (200, state | {"rate": 80.0})
        later = state | {"rate": 80.0, "volatility": 9.5, "running": False}
        assert await put('{"volatility":9.5,"running":false}') == (200, later)
        assert control.changed.is_set()
        for body, expected in (
            ('{"rate":99999,"volatility":1}', "rate: expected 0.1 to 2000, got 99999"),
            ('{"volatility":0}', "volatility: expected 0.1 to 100, got 0"),
            ('{"rate":"much"}', "Expected `float"),
            ('{"speed":2}', "unknown field `speed`"),
            ("no json", "JSON is malformed"),
            (json.dumps({"rate": 1, "x": "y" * 2_000}), "at most 1000 bytes"),
        ):
            status, said = await put(body)
            assert (status, said["code"]) == (400, "bad_request")
            assert expected in said["message"]
        status, said = await put('{"rate":1}', Origin="http://evil.example")
        assert (status, said["code"]) == (403, "unavailable")
        async with http.get(url) as answer:
            assert await answer.json() == later
    assert (control.rate, control.volatility, control.running) == (80.0, 9.5, False)


async def test_a_body_is_taken_as_a_whole(serve) -> None:
    control = Control(SimSettings())
    server = await serve(control=control)

    async def parts(*texts: bytes) -> AsyncIterator[bytes]:
        for text in texts:
            yield text
            await asyncio.sleep(0.05)  # a segment each: what is read first is not all

    async with aiohttp.ClientSession() as http:

        async def put(*texts: bytes, **headers: str) -> tuple[int, Any]:
            url = f"{server.url}/sim"
            async with http.put(url, data=parts(*texts), headers=headers) as answer:
                return answer.status, await answer.json()

        status, said = await put(b'{"rate":77}', b"garbage")
        assert (status, said["code"], control.rate) == (400, "bad_request", 60.0)
        status, said = await put(*[b" " * 400] * 4)
        assert (status, said["message"]) == (400, "body: expected at most 1000 bytes, got more")
        status, said = await put(b'{"ra', b'te":77}')
        assert (status, control.rate) == (200, 77.0)


async def test_a_body_that_is_not_what_its_headers_say_is_a_bad_request(serve) -> None:
    control = Control(SimSettings())
    server = await serve(control=control)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"PUT /sim HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n"
        b'Content-Length: 11\r\n\r\n{"rate":77}'
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    assert control.rate == 60.0


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "OPTIONS"])
async def test_other_methods_are_refused_in_json(serve, method: str) -> None:
    control = Control(SimSettings())
    server = await serve(control=control)
    async with (
        aiohttp.ClientSession() as http,
        http.request(method, f"{server.url}/sim", data=b'{"rate":77}') as answer,
    ):
        assert (answer.status, (await answer.json())["code"]) == (405, "bad_request")
        assert answer.headers["Allow"] == "GET, HEAD, PUT"
    assert control.rate == 60.0


async def test_the_version_says_where_it_is_to_who_may_turn_it(serve) -> None:
    server = await serve(control=Control(SimSettings()))
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{server.url}/version") as answer:
            assert (await answer.json())["sim"] == "/sim"
        headers = {"X-Forwarded-For": "1.2.3.4"}
        async with http.get(f"{server.url}/version", headers=headers) as answer:
            assert "sim" not in await answer.json()


async def test_a_server_without_a_simulated_market_has_none(serve) -> None:
    server = await serve()
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/sim") as answer:
        assert answer.status == 404


def test_a_change_is_whole_or_not_at_all() -> None:
    control = Control(SimSettings())
    with pytest.raises(ValueError, match="volatility: expected"):
        control.apply(Change(rate=1.0, volatility=1e9))
    assert control.rate == 60.0
    assert not control.changed.is_set()
