"""The suites of the wire, its door, its clients and the dialect, against a gateway over a log."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 540
SUITES = {"tests/gateway": 400, "tests/server": 20, "tests/client": 180, "tests/dialects": 80}
"""How many tests of each start a server of theirs, at least: to run none would prove nothing."""


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S + 60)
@pytest.mark.parametrize("suite", SUITES)
async def test_a_gateway_does_what_one_process_does(suite):
    await passes(suite)


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S + 60)
@pytest.mark.parametrize("suite", ["tests/gateway", "tests/server"])
async def test_two_shards_do_what_one_process_does(suite):
    await passes(suite, FASTBOOK_TEST_SHARDS="2")


async def passes(suite: str, **how: str) -> None:
    environment = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"),
        *("-m", "not slow", suite),
        cwd=ROOT,
        env=environment | {"FASTBOOK_TEST_AGAINST": "gateway"} | how,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    said = out.decode(errors="replace")
    assert running.returncode == 0, said[-10_000:]
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None
    assert int(passed[1]) >= SUITES[suite], said[-2_000:]
