"""One Chromium for all tests of the page; without Chromium they are skipped."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent / "support"))


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makemodule() -> Generator[None, pytest.Module, pytest.Module]:
    """Run all of these in one process and one event loop, because they share the browser.

    The loop's scope is looked at when a test is made: marking the items would be too late, and
    each of them would start a browser of its own.
    """
    module = yield
    module.add_marker(pytest.mark.xdist_group("web"))
    module.add_marker(pytest.mark.asyncio(loop_scope="session"))
    return module


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Any]:
    from web_stage import ARGUMENTS, chromium

    path = chromium()
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
    async with playwright.async_playwright() as driver:
        running = await driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield running
        await running.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stage_of(browser: Any) -> AsyncIterator[Callable[..., Any]]:
    """A function that starts a stage; its keywords are the server's settings."""
    from web_stage import Stage

    stages: list[Stage] = []
    async with aiohttp.ClientSession() as http:

        async def start(**settings: Any) -> Stage:
            stages.append(Stage(browser, http))
            await stages[-1].start(**settings)
            return stages[-1]

        yield start
        for stage in stages:
            await stage.stop()
    await asyncio.sleep(0)


@pytest_asyncio.fixture(loop_scope="session")
async def stage(stage_of: Callable[..., Any]) -> AsyncIterator[Any]:
    """A server, the way to it, and a browser that must not have complained by the end."""
    stage = await stage_of()
    yield stage
    assert stage.complaints == []
