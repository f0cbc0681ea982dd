"""How long the turns of a loop take: what a flood does to everybody else."""

from __future__ import annotations

import asyncio
import time

TURN_MS_MAX = 50
"""CPU of one turn of the loop: it is some 3 ms, and was up to 190 ms; a CI machine may be slow."""


async def longest_turn_ms(stop: asyncio.Event) -> float:
    """Return the most CPU time that one turn of the loop took until `stop` was set."""
    longest, before = 0.0, time.thread_time()
    while not stop.is_set():
        await asyncio.sleep(0)
        now = time.thread_time()
        longest, before = max(longest, now - before), now
    return longest * 1_000
