"""``fastbook demo``: a server, a market on it (simulated or recorded), and a view of it.

Market and view are ordinary clients of the public endpoint. They start after the server and stop
before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from fastbook_cli.demo.binance_bots import introduced, with_dollars
from fastbook_cli.demo.errors import DemoError
from fastbook_cli.demo.past import make_past
from fastbook_cli.demo.recorded import Recorded
from fastbook_cli.demo.replay_control import ReplayChange
from fastbook_cli.demo.views import DemoView, LineView, ScreenView, watch
from fastbook_cli.errors import CommandError, first_failure, said_by
from fastbook_cli.replay.progress import read_in_thread
from fastbook_cli.replay.recording import Recording
from fastbook_cli.sim.control import Control
from fastbook_cli.sim.http_control import with_control
from fastbook_cli.sim.live import Live
from fastbook_cli.sim.settings import SimSettings
from fastbook_client.errors import ConnectError, FastbookError
from fastbook_server import app, process
from fastbook_server.config import Config
from fastbook_server.embedded.supervisor import default_data_dir
from fastbook_server.gateway.operator import Operator
from fastbook_server.store import Store
from fastbook_server.values.instruments import InstrumentSpec, default_security


class DemoOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of ``demo`` besides the settings of the server."""

    sim: SimSettings
    past_minutes: float = 60.0
    """How long the market has traded when the demo opens, unless it plays a recording."""
    plain: bool = False
    recording: Path | None = None
    symbol: str | None = None
    """Which of the recording's securities to play."""
    once: bool = False
    """Play the recording once instead of repeating it; ``sim.speed`` is its speed."""


def with_own_data(config: Config, name: str = "fastbook-demo") -> Config:
    """Return `config` with a data folder of the demo's own, unless it says where data goes."""
    if config.in_memory or config.data_dir is not None or config.database_url is not None:
        return config
    folder = default_data_dir().with_name(name)
    return msgspec.structs.replace(config, data_dir=str(folder))


def for_recording(config: Config, spec: InstrumentSpec) -> Config:
    """Return `config` with the instrument of the recording, unless it names others."""
    if config.instruments != Config().instruments:
        return config
    return msgspec.structs.replace(config, instruments=(spec,))


async def run(config: Config, options: DemoOptions) -> int:
    """Run a demo until a signal or a failure; return the exit code of the process.

    Raises:
        CommandError: a client could not connect or continue, the reader of stdout has gone, or
            the recording is not one.
    """
    control = Control(options.sim)
    operator: Callable[..., Operator] = with_control(control)
    recorded: Recorded | None = None
    data_name = "fastbook-demo"
    if options.recording is not None:
        recording = await read_in_thread(
            functools.partial(Recording.open, options.recording, options.symbol)
        )
        config = for_recording(config, recording.instrument())
        recorded = Recorded.of(
            recording, speed=options.sim.speed, once=options.once, spec=config.instruments[0]
        )
        data_name = "fastbook-demo-replay"
        operator = with_control(recorded.control, "replay", ReplayChange)
    elif config.binance:
        config, data_name = with_dollars(config), "fastbook-demo-binance"
    screen = sys.stdout.isatty() and not options.plain
    view: DemoView = (ScreenView if screen else LineView)(config.log_level, config.log_format)

    @contextlib.asynccontextmanager
    async def company(server: app.Server) -> AsyncIterator[None]:
        if recorded is not None:
            security = default_security(config.instruments)
            market = recorded.run(server.url, security, config.token)
        else:
            market = Live(server.url, options.sim, control, token=config.token).run()
        about = await introduced(server, config.instruments[0]) if config.binance else ""
        view.open(server.url, about)
        async with asyncio.TaskGroup() as tasks:
            trading = tasks.create_task(market, name="market")
            watching = tasks.create_task(watch(server.url, view), name="view")
            try:
                yield
            finally:
                trading.cancel()
                await asyncio.wait((trading,))
                watching.cancel()

    async def past(store: Store) -> None:
        if recorded is None and options.past_minutes:
            await make_past(store, config, options.sim, options.past_minutes)

    try:
        with first_failure(CommandError, FastbookError, OSError):
            return await process.serve(
                with_own_data(config, data_name), company, operator=operator, before=past
            )
    except ConnectError as error:
        raise DemoError(f"a client of the demo could not connect: {error}") from None
    except (FastbookError, OSError) as error:
        raise DemoError(said_by(error)) from None
    finally:
        view.close()
