"""A client of the Binance dialect that signs as its users do, and sees every answer as it is."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from fastbook_server.values.accounts import Account

FORM = "application/x-www-form-urlencoded"


class Answer:
    """An answer: its status, its decoded body and its headers."""

    def __init__(self, status: int, body: Any, headers: Any) -> None:
        self.status = status
        self.body = body
        self.headers = headers

    @property
    def error(self) -> tuple[int, int, str]:
        """The status, code and text of a refusal."""
        return self.status, self.body["code"], self.body["msg"]


class BinanceClient:
    """Sends requests of an account to a server; None: of nobody."""

    def __init__(self, http: aiohttp.ClientSession, url: str, account: Account | None) -> None:
        self._http = http
        self._url = f"{url}/binance/api/v3/"
        self.account = account

    async def ask(self, method: str, path: str, **params: Any) -> Answer:
        """Send an unsigned request."""
        return await self.send(method, path, urlencode(params))

    async def signed(self, method: str, path: str, **params: Any) -> Answer:
        """Send a signed request, with everything in the query."""
        given = {"timestamp": int(time.time() * 1_000)} | params
        query = urlencode({k: v for k, v in given.items() if v is not None})
        return await self.send(method, path, f"{query}&signature={self.sign(query)}")

    def sign(self, payload: str) -> str:
        """Return the signature of a text."""
        assert self.account is not None, "nobody signs nothing"
        secret = self.account.secret.encode()
        return hmac.new(secret, payload.encode(), hashlib.sha256).hexdigest()

    async def send(
        self, method: str, path: str, query: str = "", body: str | bytes = "", of_type: str = FORM
    ) -> Answer:
        """Send a request as it is."""
        headers = {} if self.account is None else {"X-MBX-APIKEY": self.account.key}
        if body:
            headers["Content-Type"] = of_type
        url = URL(f"{self._url}{path}?{query}", encoded=True)
        data = io.BytesIO(body) if isinstance(body, bytes) else body or None
        async with self._http.request(method, url, headers=headers, data=data) as got:
            return Answer(got.status, await got.json(), got.headers)

    async def order(self, side: str, kind: str, **params: Any) -> Answer:
        """Place an order in BTCUSDT."""
        given = {"symbol": "BTCUSDT", "side": side, "type": kind} | params
        return await self.signed("POST", "order", **given)

    async def limit(self, side: str, price: Any, quantity: Any, **params: Any) -> Answer:
        """Place a limit order in BTCUSDT."""
        terms = {"timeInForce": "GTC", "price": price, "quantity": quantity} | params
        return await self.order(side, "LIMIT", **terms)

    async def balances(self) -> dict[str, tuple[str, str]]:
        """Return what the account has: free and locked."""
        found = await self.signed("GET", "account")
        return {b["asset"]: (b["free"], b["locked"]) for b in found.body["balances"]}


@asynccontextmanager
async def followed(venue: Any, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A socket of a venue's dialect."""
    async with aiohttp.ClientSession() as http:
        url = venue.url.replace("http", "ws")
        async with http.ws_connect(f"{url}/binance/{path}", max_msg_size=0) as socket:
            yield socket


async def until(
    socket: aiohttp.ClientWebSocketResponse, wanted: Callable[[Any], bool]
) -> list[Any]:
    """Return the frames up to the first that is wanted, that one included."""
    frames: list[Any] = []
    while True:
        frames.append(await asyncio.wait_for(socket.receive_json(), 30))
        if wanted(frames[-1]):
            return frames


def on_socket(client: BinanceClient, **params: Any) -> dict[str, Any]:
    """Return parameters of the socket API, signed."""
    assert client.account is not None, "nobody signs nothing"
    given = {"apiKey": client.account.key, "timestamp": int(time.time() * 1_000)} | params
    payload = "&".join(f"{name}={value}" for name, value in sorted(given.items()))
    return given | {"signature": client.sign(payload)}


async def asked(
    socket: aiohttp.ClientWebSocketResponse, method: str, params: Any, number: Any = 1
) -> Any:
    """Return the answer to a request of the socket API."""
    await socket.send_json({"id": number, "method": method, "params": params})
    return (await until(socket, lambda f: f.get("id") == number))[-1]
