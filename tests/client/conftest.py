"""Puts ``support`` on the path, which pytest's importlib mode does not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the loop that bots run on unless they choose another."""
    return {"asyncio": asyncio.new_event_loop}
