"""Helpers of these tests are modules in ``support``; pytest's importlib mode needs the path."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loop that bots run on if they choose none."""
    return {"asyncio": asyncio.new_event_loop}
