"""The event loop of a command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastbook_cli.signals import until_signal


def run_loop(command: Coroutine[Any, Any, int]) -> int:
    """Run a command on uvloop where it is installed; return the exit code of the process."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(until_signal(command))
