"""An event loop in its own thread, which other threads may call into."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE_S = 10.0
"""How long a call may take. No call waits for the bot, so only a bug takes this long."""


class NoAnswerError(Exception):
    """The server's thread did not answer in time, or has ended."""


class LoopThread:
    """A running event loop for the server; tests and bots run in other threads."""

    def __init__(self, name: str) -> None:
        self._loop = _new_loop()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    @property
    def has_ended(self) -> bool:
        """Whether it has been stopped."""
        return self._loop.is_closed()

    def run(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Run a coroutine function in the loop; return its result.

        Raises:
            NoAnswerError: it took longer than ``PATIENCE_S``, or the loop has ended.
            RuntimeError: called from the loop's own thread, which would deadlock.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("called from the server's own thread, which would deadlock")
        if self.has_ended:
            raise NoAnswerError("the server of this test has ended")
        future = asyncio.run_coroutine_threadsafe(function(*args), self._loop)
        try:
            return future.result(PATIENCE_S)
        except concurrent.futures.TimeoutError:
            if future.done():  # the coroutine itself raised it
                raise
            future.cancel()
            name = getattr(function, "__name__", function)
            raise NoAnswerError(f"the server did not answer {name} in {PATIENCE_S} s") from None

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call a plain function in the loop's thread; return its result. Raises like `run`."""

        async def called() -> T:
            return function(*args)

        return self.run(called)

    def stop(self) -> None:
        """End the loop and its thread; calling it again does nothing."""
        if not self.has_ended:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def _live(self) -> None:
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # Windows has none
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
