"""``fastbook sim``: the simulated market joins a running server, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator

from fastbook_cli.sim.control import Control
from fastbook_cli.sim.live import Live, SimError
from fastbook_cli.sim.settings import SimSettings
from fastbook_client.errors import FastbookError


async def run(url: str, settings: SimSettings, securities: tuple[str, ...]) -> int:
    """Trade until a signal; return the exit code of the process: 0 of SIGTERM, 130 of SIGINT.

    Raises:
        SimError: there is no such server, it refuses us, or there is nothing to trade.
    """
    live = Live(url, settings, Control(settings), securities)

    def started() -> None:
        print(
            f"trading {', '.join(live.securities)} at {settings.rate:g} commands/s, "
            f"{settings.volatility:g} % a day; Ctrl-C withdraws the orders",
            flush=True,
        )

    trading = asyncio.create_task(live.run(started), name="simulated market")
    with _signals() as stop:
        await asyncio.wait((trading, stop), return_when=asyncio.FIRST_COMPLETED)
        trading.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await trading
        except* (FastbookError, OSError, ValueError) as group:
            error = first(group)
            raise error if isinstance(error, SimError) else SimError(f"{url}: {error}") from None
        print(f"stopped after {live.commands:,} commands, {live.refused:,} refused", flush=True)
        return stop.result()


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first of what went wrong."""
    error = group.exceptions[0]
    return first(error) if isinstance(error, BaseExceptionGroup) else error


@contextlib.contextmanager
def _signals() -> Iterator[asyncio.Future[int]]:
    """Give a future that the first signal resolves with the exit code it asks for."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[int] = loop.create_future()

    def on_signal(code: int) -> None:
        if not stop.done():
            stop.set_result(code)

    wanted = {signal.SIGTERM: 0, signal.SIGINT: 130}
    for number, code in wanted.items():
        loop.add_signal_handler(number, on_signal, code)
    try:
        yield stop
    finally:
        for number in wanted:
            loop.remove_signal_handler(number)
