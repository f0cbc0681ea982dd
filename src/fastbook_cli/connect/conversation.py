"""One connection, spoken to line by line: commands are sent, what is to be looked at is shown."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Callable
from typing import Any, cast

import aiohttp
import msgspec
from rich.console import RenderableType
from rich.text import Text

from fastbook_cli.connect import pictures
from fastbook_cli.connect.awaited import Awaited
from fastbook_cli.connect.pictures import Ruler
from fastbook_cli.connect.position import NetPosition
from fastbook_cli.connect.words import HELP, Glance, Speaker
from fastbook_client.api import Api
from fastbook_client.connection import Connection
from fastbook_client.endpoint import Endpoint
from fastbook_client.errors import ConnectError
from fastbook_wire.words import INTERVALS, Interval

FRESH_S = 0.05
"""Beyond the server's interval between two books: what was sent before is in the next one."""
CANDLES = 60
PAGE_MAX = 1_000
SETTLED_S = 10.0
"""How long a look waits for the replies to what was sent before it."""

Show = Callable[[RenderableType], None]


class Conversation:
    """What a person and the server say to each other; `show` prints for the person."""

    def __init__(
        self, connection: Connection, endpoint: Endpoint, http: aiohttp.ClientSession, show: Show
    ) -> None:
        welcome = connection.welcome
        self.instruments = {i.security: i for i in welcome.instruments}
        self.awaited = Awaited()
        self.speaker = Speaker(
            welcome.security, tuple(self.instruments), f"{secrets.token_hex(3)}-"
        )
        self.rulers = {name: Ruler(i) for name, i in self.instruments.items()}
        self._connection = connection
        self._api = Api(http, endpoint.http)
        self._show = show
        self._fresh_s = welcome.throttle_ms / 1_000 + FRESH_S
        self._sent_s = 0.0
        self._refs = itertools.count(1)
        self._asked: dict[str, asyncio.Future[dict[str, Any]]] = {}

    @property
    def ruler(self) -> Ruler:
        """The ruler of the current security."""
        return self.rulers[self.speaker.security]

    def send(self, line: bytes) -> None:
        """Send a line as it is, and await its reply."""
        self._sent_s = asyncio.get_running_loop().time()
        self.awaited.sent(line)
        self._connection.send_many((line,))

    async def look(self, look: Glance) -> None:
        """Show what was asked for, as it is after all that was sent before.

        Raises:
            ConnectError: the server does not answer, or refused.
        """
        if look.what == "help":
            self._show(Text(HELP))
        elif look.what == "securities":
            found = tuple(self.instruments.values())
            self._show(pictures.securities(found, self.speaker.security))
        elif look.what in ("book", "trades", "candles", "ticker", "position"):
            await self._settle()
            try:
                self._show(await self._picture(look))
            except ConnectError as error:
                self._show(Text(str(error), style="yellow"))

    async def _picture(self, look: Glance) -> RenderableType:
        security, ruler = self.speaker.security, self.ruler
        match look.what:
            case "book":
                answer = await self._api.book(look.argument, depth=look.rows)
                return pictures.book(answer, ruler, look.rows)
            case "trades":
                page = await self._api.trades_page(look.argument, limit=look.rows)
                return pictures.trades(page.trades, ruler)
            case "candles":
                interval = cast("Interval", look.argument)
                start_ms = time.time_ns() // 1_000_000 - CANDLES * INTERVALS[interval]
                found = await self._api.candles(security, interval, start=start_ms)
                return pictures.candles(found, ruler)
            case "position":
                position = await self._position(security)
                return position.line(ruler, (await self._api.ticker(security)).last)
            case _:
                return pictures.ticker(await self._api.ticker(security), ruler)

    async def _position(self, security: str) -> NetPosition:
        """Return the position, from all fills that the server knows."""
        position = NetPosition(self.instruments[security])
        command = {"op": "fills", "security": security, "since": 0, "limit": PAGE_MAX}
        more = True
        while more:
            page = await self._ask(command)
            for fill in page["fills"]:
                position.take(fill)
            more = page["more"]
            if more:
                command["since"] = page["fills"][-1]["fillId"]
        return position

    async def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """Send a command of this program's own; return the reply, which is not shown."""
        ref = f"own-{next(self._refs)}"
        self._asked[ref] = asyncio.get_running_loop().create_future()
        self._connection.send_many((msgspec.json.encode(command | {"ref": ref}),))
        try:
            async with asyncio.timeout(SETTLED_S):
                reply = await self._asked[ref]
        except TimeoutError:
            raise ConnectError(f"no answer within {SETTLED_S:g} s") from None
        finally:
            del self._asked[ref]
        if reply["event"] == "error":
            raise ConnectError(f"refused: {reply['message']}")
        return reply

    def heard(self, payload: bytes) -> bool:
        """Take the reply to a command of this program's own; return whether it is one."""
        if not self._asked:
            return False
        frame: dict[str, Any] = msgspec.json.decode(payload)
        asked = self._asked.get(str(frame.get("ref")))
        if asked is not None and not asked.done():
            asked.set_result(frame)
        return asked is not None

    async def _settle(self) -> None:
        """Wait for the replies, and until a new book has been built."""
        try:
            async with asyncio.timeout(SETTLED_S):
                await self.awaited.none()
        except TimeoutError:
            return
        since_s = asyncio.get_running_loop().time() - self._sent_s
        await asyncio.sleep(max(0.0, self._fresh_s - since_s) if self._sent_s else 0.0)
