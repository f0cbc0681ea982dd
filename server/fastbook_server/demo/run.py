"""``fastbook demo``: a server, traders that make a market on it, and a view of it.

Traders and view are ordinary clients of the public endpoint. The order of things: the server (as
``serve`` does), then the traders and the view; at the end the same backwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

import msgspec

from fastbook_client.errors import ConnectError
from fastbook_server import app, process
from fastbook_server.config import Config
from fastbook_server.demo.traders import Traders
from fastbook_server.demo.views import LineView, ScreenView, View, watch
from fastbook_server.embedded.supervisor import default_data_dir
from fastbook_server.terminal.watch import websocket_url


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``demo`` takes besides the settings of the server."""

    traders: int
    rate: float
    seed: int
    plain: bool


class DemoError(OSError):
    """The demo cannot go on: its clients are refused, or its output goes nowhere."""


def with_own_data(config: Config) -> Config:
    """Return `config` with the demo's own data folder, unless it names one or a database."""
    if config.data_dir is not None or config.database_url is not None:
        return config
    folder = default_data_dir().with_name("fastbook-demo")
    return msgspec.structs.replace(config, data_dir=str(folder))


async def run(config: Config, options: DemoOptions) -> int:
    """Run a demo until a signal or a failure; returns the exit code of the process.

    Raises:
        DemoError: a trader or the view could not connect, or nobody reads what it says.
    """
    screen = sys.stdout.isatty() and not options.plain
    view: View = ScreenView(config.log_level) if screen else LineView(config.log_level)

    @contextlib.asynccontextmanager
    async def company(server: app.Server) -> AsyncIterator[None]:
        ws_url = websocket_url(server.url)
        traders = Traders(ws_url, number=options.traders, rate=options.rate, seed=options.seed)
        view.open(server.url)
        async with asyncio.TaskGroup() as tasks:
            trading = tasks.create_task(traders.run(), name="traders")
            watching = tasks.create_task(watch(server.url, view), name="view")
            try:
                yield
            finally:
                trading.cancel()
                await asyncio.wait((trading,))
                watching.cancel()

    try:
        return await process.serve(with_own_data(config), company)
    except* ConnectError as group:
        raise DemoError(f"a client of the demo was refused: {_first(group)}") from None
    except* OSError as group:
        raise DemoError(str(_first(group))) from None
    finally:
        view.close()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
