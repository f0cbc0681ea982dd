"""A server, a way to it that can be cut or stalled, other traders and the page in a browser."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from fakes import StampClock

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.gateway.operator import Operator
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.clock import LoopClock
from fastbook_server.values.instruments import InstrumentSpec

ROOT = Path(__file__).parents[3]
SCREENSHOTS = ROOT / "build/screenshots"
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
WAIT_S = 15.0
EXPECTED = ("WebSocket connection to", "Multiple readback operations")
"""Console messages that tests cause: by cutting connections and by reading pixels."""
SECURITIES = ("COIN:0.01:0.01", "FINE:0.5:1")


def chromium() -> str | None:
    """Return the path of the machine's Chromium, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, names) if path), None)


class Way:
    """A TCP proxy to the server, which can cut or stall its connections."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        self.flow()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Abort every connection, without a close frame."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def stall(self) -> None:
        """Hold all data back without closing any connection."""
        self._open.clear()

    def flow(self) -> None:
        self._open.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:  # the server is down: whoever comes is sent away, and comes again
            writer.transport.abort()
            return
        self._writers |= {writer, inner_writer}
        await asyncio.gather(self._pump(reader, inner_writer), self._pump(inner_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        self._writers.discard(writer)
        writer.close()


class Trader:
    """Another user: an ordinary connection without public frames."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse, welcome: dict[str, Any]) -> None:
        self._ws = ws
        self._refs = itertools.count(1)
        self.user_id: str = welcome["userId"]
        self.token: str = welcome["resumeToken"]

    async def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command; return its reply."""
        ref = next(self._refs)
        await self.send(**command, ref=ref)
        while True:
            frame = await self.receive()
            if frame.get("ref") == ref:
                return frame

    async def send(self, **command: Any) -> None:
        await self.send_text(json.dumps(command))

    async def send_text(self, text: str) -> None:
        await self._ws.send_str(text)

    async def receive(self) -> dict[str, Any]:
        """Return the next frame."""
        frame: dict[str, Any] = json.loads(await self._ws.receive_str())
        return frame

    async def add(self, side: str, price: float | None, amount: float, **options: Any) -> Any:
        """Place a limit order, or a market order if `price` is None; return its reply."""
        kind = {"execType": "market"} if price is None else {"execType": "limit", "price": price}
        order = {"security": "COIN", "type": side, "amount": amount} | kind | options
        return await self.ask(op="add", order=order)

    async def close(self) -> None:
        await self._ws.close()


class Stage:
    """The whole stage; `complaints` holds the page's console errors."""

    def __init__(self, browser: Any, http: aiohttp.ClientSession) -> None:
        self._browser = browser
        self._http = http
        self._contexts: list[Any] = []
        self._traders: list[Trader] = []
        self.complaints: list[str] = []

    async def start(
        self,
        now_ms: Callable[[], int] | None = None,
        operator: Callable[..., Operator] = Operator,
        **settings: Any,
    ) -> None:
        specs = tuple(InstrumentSpec.parse(text) for text in SECURITIES)
        given = {"port": 0, "instruments": specs} | settings
        self._config, self._store = Config(**given), MemoryStore()
        self._clock = LoopClock() if now_ms is None else StampClock(now_ms)
        self.server = await Server.start(
            self._config, self._store, clock=self._clock, operator=operator
        )
        self.way = Way(self.server.port)
        await self.way.start()
        self.url = f"http://127.0.0.1:{self.way.port}/"

    @property
    def data(self) -> Any:
        """The database in memory."""
        return self._store.data

    async def stop(self) -> None:
        for context in self._contexts:
            await context.close()
        for trader in self._traders:
            await trader.close()
        await self.way.stop()
        await self.server.stop()

    async def restart(self) -> None:
        """Stop the server, then start another one on the same data and port."""
        port = self.server.port
        await self.server.stop()
        config = msgspec.structs.replace(self._config, port=port)
        self.server = await Server.start(config, self._store, clock=self._clock)

    async def trader(self, resume: str | None = None) -> Trader:
        """Return another user, or the one whose resume token it is."""
        query = {"feed": "none"} | ({} if resume is None else {"resume": resume})
        ws = await self._http.ws_connect(f"{self.server.url}/ws", params=query, max_msg_size=0)
        self._traders.append(Trader(ws, json.loads(await ws.receive_str())))
        return self._traders[-1]

    async def context(self, **options: Any) -> Any:
        """Return a browser context, as a separate user's browser."""
        given = {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"} | options
        context = await self._browser.new_context(**given)
        context.set_default_timeout(15_000)
        self._contexts.append(context)
        return context

    async def open(self, path: str = "", *, context: Any = None, **options: Any) -> Any:
        """Open the page; return it once it is connected."""
        context = context or await self.context(**options)
        page = await context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        await page.goto(self.url + path)
        await live(page)
        return page

    def _hear(self, message: Any) -> None:
        expected = any(text in message.text for text in EXPECTED)
        if message.type in ("error", "warning") and not expected:
            self.complaints.append(message.text)


async def until(page: Any, condition: str, argument: Any = None) -> None:
    """Wait until a JavaScript function returns a true value.

    Playwright's own wait evaluates text inside the page, which the page's policy forbids.
    """
    deadline_s = asyncio.get_running_loop().time() + WAIT_S
    while not await page.evaluate(condition, argument):
        assert asyncio.get_running_loop().time() < deadline_s, f"never true: {condition} {argument}"
        await asyncio.sleep(0.02)


async def live(page: Any) -> None:
    """Wait until the page is connected and its data is fresh."""
    await page.wait_for_selector("html:not(.stale) #state[data-state=live]")
    await until(page, "() => document.getElementById('security').value")


async def text(page: Any, element_id: str) -> str:
    """Return an element's text."""
    return str(await page.locator(f"#{element_id}").text_content())


async def says(page: Any, element_id: str, expected: str) -> None:
    """Wait until an element's text holds `expected`."""
    held = "([id, text]) => document.getElementById(id).textContent.includes(text)"
    await until(page, held, [element_id, expected])


async def rows(page: Any, element_id: str) -> list[list[str]]:
    """Return the cells' texts of a table's body."""
    found: list[list[str]] = await page.evaluate(
        "id => [...document.getElementById(id).rows]"
        ".map(r => [...r.cells].map(c => c.textContent))",
        element_id,
    )
    return found


async def has_rows(page: Any, element_id: str, number: int) -> None:
    """Wait until a table has this many rows."""
    count = "([id, n]) => document.getElementById(id).rows.length === n"
    await until(page, count, [element_id, number])


async def shows(page: Any, element_id: str, expected: list[list[str]]) -> None:
    """Wait until a table's rows begin with these texts."""
    begin = """([id, expected]) => {
        const rows = [...document.getElementById(id).rows].slice(0, expected.length);
        const texts = rows.map((row) => [...row.cells].map((cell) => cell.textContent));
        const meant = (row, r) => row.every((text, c) => text === null || texts[r]?.[c] === text);
        return expected.every(meant);
    }"""
    await until(page, begin, [element_id, expected])


async def list_orders(page: Any, which: str, number: int) -> list[list[str]]:
    """Choose which orders to list; return their rows once so many are shown.

    After a reload the past comes from the server, in an answer of its own.
    """
    await page.click(f"#blotter-tabs button[value={which}]")
    await until(page, "w => document.getElementById('blotter-head').dataset.shown === w", which)
    await has_rows(page, "blotter-body", number)
    return await rows(page, "blotter-body")


async def user_of(page: Any) -> str:
    """Return the user that a page acts for, once it says so: it looks a few times per second."""
    said = """() => {
        const kept = JSON.parse(sessionStorage.getItem("fastbook.session"));
        return document.getElementById("user").textContent === kept?.userId;
    }"""
    await until(page, said)
    return await text(page, "user")


async def drawn(page: Any) -> None:
    """Wait until what has another size or is visible again is drawn: that takes two frames."""
    await page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


async def fill_in(page: Any, side: str, price: str, amount: str) -> None:
    """Fill in the ticket."""
    await page.click(f"#side button[value={side}]")
    await page.fill("#price", price)
    await page.fill("#amount", amount)


async def order(page: Any, side: str, price: str, amount: str) -> str:
    """Place a limit order through the ticket; return the ticket's answer."""
    await fill_in(page, side, price, amount)
    await page.click("#send")
    await until(page, "() => document.getElementById('answer').textContent")
    return await text(page, "answer")


async def shoot(page: Any, name: str) -> None:
    """Save a screenshot."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=SCREENSHOTS / f"{name}.png")
