"""Run a program to its end or to Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

CTRL_C = 130
"""The exit code of a program that was ended by Ctrl-C."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine as `asyncio.run` does; Ctrl-C ends the process without a traceback.

    `main` is cancelled, so that its ``async with`` and ``finally`` blocks are left in order.

    Raises:
        SystemExit: it was ended by Ctrl-C; the exit code is 130.
    """
    try:
        return asyncio.run(main)
    except KeyboardInterrupt:
        sys.exit(CTRL_C)
