"""``fastbook sim``: a simulated market trades on a running server, until a signal."""

from __future__ import annotations

import asyncio
import contextlib

from fastbook_cli.access import server_token
from fastbook_cli.errors import CommandError, NoServerError, first_failure
from fastbook_cli.signals import stop_signals
from fastbook_cli.sim.control import Control
from fastbook_cli.sim.live import Live
from fastbook_cli.sim.settings import SimSettings
from fastbook_client.errors import FastbookError


async def run(url: str, settings: SimSettings, securities: tuple[str, ...]) -> int:
    """Trade until a signal; return the exit code of the process.

    Raises:
        SimError: there is nothing to trade, or the connection is lost for good.
        NoServerError: no server answers, or it refused a connection.
    """
    live = Live(url, settings, Control(settings), securities, server_token())

    def started() -> None:
        print(
            f"trading {', '.join(live.securities)} at {settings.rate:g} commands/s, "
            f"volatility {settings.volatility:g} % a day; Ctrl-C cancels the orders",
            flush=True,
        )

    trading = asyncio.create_task(live.run(started), name="simulated market")
    with stop_signals() as stop:
        await asyncio.wait((trading, stop), return_when=asyncio.FIRST_COMPLETED)
        trading.cancel()
        try:
            with (
                contextlib.suppress(asyncio.CancelledError),
                first_failure(CommandError, FastbookError, OSError),
            ):
                await trading
        except (FastbookError, OSError) as error:
            raise NoServerError.at(url, error) from None
        print(f"stopped after {live.commands:,} commands, {live.refused:,} refused", flush=True)
        return stop.result()
