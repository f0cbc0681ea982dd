"""Stories in simulated time, one for each seed: a failure names its seed.

``FASTBOOK_SIM_SEEDS=10000`` asks for as many, ``FASTBOOK_SIM_FIRST`` for where they begin.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable

import pytest
from sim_house import SimLoop

import fastbook_server.gateway.users as users_module

SEEDS = int(os.environ.get("FASTBOOK_SIM_SEEDS", "200"))
FIRST = int(os.environ.get("FASTBOOK_SIM_FIRST", "0"))
Story = Callable[[int], Awaitable[str]]


def told(story: Story, seed: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let a seed's story happen, without any chance but its own; return its trace."""
    drawn = iter(range(10**6))
    monkeypatch.setattr(users_module, "_random_suffix", lambda: f"{next(drawn):013d}")
    monkeypatch.setattr(secrets, "token_hex", lambda _: f"{next(drawn):06d}")
    with asyncio.Runner(loop_factory=SimLoop) as runner:
        return runner.run(story(seed))  # type: ignore[arg-type]  # a coroutine


def all_told(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the stories of all seeds happen; AssertionError names one that ends badly."""
    for seed in range(FIRST, FIRST + SEEDS):
        try:
            told(story, seed, monkeypatch)
        except BaseException as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
    print(f"{SEEDS:,} seeds from {FIRST}")
