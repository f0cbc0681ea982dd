"""Helpers of these tests are modules in ``support``; pytest's importlib mode needs the path."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

HERE = Path(__file__).parent
# The recording is that of tests/replay, which knows where it comes from.
_SPEC = importlib.util.spec_from_file_location("recordings", HERE.parent / "replay/conftest.py")
assert _SPEC is not None
assert _SPEC.loader is not None
_RECORDINGS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_RECORDINGS)
capture = _RECORDINGS.capture
captured = _RECORDINGS.captured


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Name the loop that bots run on if they choose none."""
    return {"asyncio": asyncio.new_event_loop}
