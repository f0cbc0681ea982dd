"""The views of the demo: the whole terminal, or one line per second."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import shutil
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from fastbook_cli.errors import OutputGoneError
from fastbook_cli.output import abandon_stdout, formatter, log_to_stderr
from fastbook_cli.terminal import draw
from fastbook_cli.terminal.watch import MarketWatch, websocket_url
from fastbook_client.events import Disconnected
from fastbook_client.market import connect
from fastbook_server.config import LogFormat

log = logging.getLogger(__name__)

REDRAW_S = 0.125
LINE_S = 1.0
NOTES_KEPT = 20


async def watch(url: str, view: DemoView) -> None:
    """Follow the market as any client would, and show it; never returns.

    Raises:
        ConnectError: the first connection was refused.
        ExceptionGroup: of OutputGoneError, the reader of stdout has gone; or of a FastbookError,
            the connection is lost for good.
    """
    loop = asyncio.get_running_loop()
    async with connect(url) as client, asyncio.TaskGroup() as tasks:
        market = MarketWatch(url, client.security, client.welcome)

        async def read() -> None:
            async for event in client:
                if isinstance(event, Disconnected):
                    log.warning("the view lost its connection: %s", event.reason)
                market.take(event, loop.time())

        tasks.create_task(read(), name="events of the view")
        await client.subscribe("fills")
        while True:
            await asyncio.sleep(view.interval_s)
            view.show(market, loop.time())


def hint(program: str, ws_url: str) -> str:
    """Return a command that connects to the demo from another terminal."""
    return f"{program} connect {ws_url}"


def foot(market: MarketWatch, notes: Sequence[str], program: str) -> tuple[Text, Text]:
    """Return the two lines below the figures; the last of `notes` replaces the second."""
    connect = Text.assemble(("connect with  ", draw.DIM), (hint(program, market.ws_url), "cyan"))
    if notes:
        return connect, Text(notes[-1], style="yellow")
    page = Text.assemble(("trade in a browser  ", draw.DIM), (f"{market.url}/", "bold cyan"))
    return connect, page.append("   Ctrl-C stops the demo", draw.DIM)


def own_command() -> str:
    """Return the command that runs this program, which need not be on the PATH."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{sys.executable} -m fastbook_cli"
    found = shutil.which(called.name)
    if found is not None and Path(found).resolve() == called.resolve():
        return called.name
    return shlex.quote(str(called))


class DemoView(Protocol):
    """Shows the market of a demo."""

    interval_s: float

    def open(self, url: str, about: str) -> None:
        """Announce that the server is ready at `url`; print what there is to say about it."""

    def show(self, market: MarketWatch, now_s: float) -> None:
        """Show the latest state."""

    def close(self) -> None:
        """Restore the terminal and print a last line."""


class LineView:
    """One line per second, for pipes, logs and ``--plain``. The log goes to stderr."""

    interval_s = LINE_S

    def __init__(self, log_level: str, log_format: LogFormat = "text") -> None:
        log_to_stderr(log_level, log_format)
        self._market: MarketWatch | None = None

    def open(self, url: str, about: str) -> None:
        """Print where the server is, as ``fastbook serve`` does, and how to use it."""
        self._say(f"ready {url}")
        self._say(f"trade in a browser: {url}/")
        self._say(f"connect with: {hint(own_command(), websocket_url(url))}")
        if about:
            self._say(about)

    def show(self, market: MarketWatch, now_s: float) -> None:
        """Print one line."""
        self._market = market
        self._say(draw.line(market, now_s))

    def close(self) -> None:
        """Print the totals of the demo."""
        if self._market is not None:
            with contextlib.suppress(OutputGoneError):
                self._say(draw.farewell(self._market))

    def _say(self, text: str) -> None:
        try:
            print(text, flush=True)
        except BrokenPipeError:
            abandon_stdout()
            raise OutputGoneError("the reader of the output has gone") from None


class ScreenView:
    """The whole terminal, redrawn from the latest state and restored at the end."""

    interval_s = REDRAW_S

    def __init__(self, log_level: str, log_format: LogFormat = "text") -> None:
        self._console = Console()
        self._program = own_command()
        self._notes = Notes()
        self._live: Live | None = None
        self._market: MarketWatch | None = None
        self._notes.setFormatter(formatter(log_format))
        logging.basicConfig(level=log_level.upper(), handlers=[self._notes])
        self._console.print("[dim]starting the server and its database …[/dim]")

    def open(self, url: str, about: str) -> None:  # noqa: ARG002 (the head line has it)
        """Print what there is to say, then take over the screen until the end."""
        if about:
            self._console.print(about, highlight=False, markup=False, soft_wrap=True)
        self._notes.hold()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._live.start()

    def show(self, market: MarketWatch, now_s: float) -> None:
        """Redraw."""
        self._market = market
        if self._live is not None:
            unicode = self._console.encoding.startswith("utf")
            size = (self._console.width, self._console.height)
            below = foot(market, self._notes.held, self._program)
            drawn = draw.screen(market, now_s, size, below, unicode=unicode)
            self._live.update(drawn, refresh=True)

    def close(self) -> None:
        """Restore the screen, then print what was logged meanwhile."""
        if self._live is not None:
            self._live.stop()
        self._notes.release()
        if self._market is not None:
            self._console.print(draw.farewell(self._market), highlight=False)


class Notes(logging.StreamHandler[TextIO]):
    """The log: on stderr or, while a view has the screen, held for its last row."""

    def __init__(self) -> None:
        super().__init__()
        self.held: deque[str] = deque(maxlen=NOTES_KEPT)
        self._records: deque[logging.LogRecord] = deque(maxlen=NOTES_KEPT)
        self._holding = False

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, or hold it if it is at least a warning."""
        if not self._holding:
            super().emit(record)
        elif record.levelno >= logging.WARNING:
            self.held.append(record.getMessage())
            self._records.append(record)

    def hold(self) -> None:
        """Hold records instead of printing them."""
        self._holding = True

    def release(self) -> None:
        """Print the records held, and print from here on."""
        self._holding = False
        for record in self._records:
            super().emit(record)
