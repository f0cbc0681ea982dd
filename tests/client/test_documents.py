"""Runs the code in the documents, exactly as printed, against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from client_servers import Line, small_server, until

from fastbook_client import Market, connect
from fastbook_wire.commands import NewOrder

ROOT = Path(__file__).parents[2]
SHOWN = "http://127.0.0.1:8080"
PATIENCE_S = 30.0


def blocks(path: str) -> list[str]:
    """Return the Python blocks of a document."""
    return re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(), re.DOTALL)


def talk_to_it() -> str:
    text = (ROOT / "README.md").read_text()
    section = text[text.index("## Talk to it") :]
    found = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with small_server(instruments="BTC-USD:0.01:0.0001", throttle_ms=20) as address:
        yield address


@pytest.fixture
async def others(url: str) -> AsyncIterator[Market]:
    """The user who makes the market that the documents assume."""
    async with connect(url, channels=["depth"], queue_max=0) as market:
        await market.limit("bid", 100, 1)
        await market.limit("ask", 100.1, 2)
        await market.market("bid", 1, self_trade="allow")
        await market.limit("bid", 97, 20)
        yield market


async def started(code: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-c", code),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))},
    )


class Running:
    """A program that prints lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def said(self) -> str:
        """Return the next line that it prints."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            return (await self._process.stdout.readline()).decode()


@contextlib.asynccontextmanager
async def running(code: str) -> AsyncIterator[Running]:
    process = await started(code)
    try:
        yield Running(process)
    finally:
        process.terminate()
        await process.wait()


async def test_the_bot_of_the_readme_makes_money(url: str, others: Market) -> None:
    code = talk_to_it()
    assert SHOWN in code
    assert len(code.strip().splitlines()) <= 30, "it still fits on a screen"
    async with running(code.replace(SHOWN, url)) as bot:
        for side in ("bid", "ask"):
            assert f"type='{side}'" in await bot.said()
        await others.market("ask", 1.5)  # the first of the queue, then the bot
        assert "type='ask', exec_type='limit', price=100.02," in await bot.said()
        await others.market("bid", 0.5)
        assert "type='bid', exec_type='limit', price=100.0," in await bot.said()
        # What its order meets is filled in its own reply, and no further event tells its state.
        ask = NewOrder(type="ask", exec_type="market", amount=0.5)
        meets = NewOrder(type="bid", exec_type="limit", price=100.02, amount=0.5)
        await others.submit([ask, meets])
        said = await bot.said()
        assert "type='ask', exec_type='limit', price=100.02," in said
        assert "status='filled'" in said
        assert "type='bid', exec_type='limit', price=100.0," in await bot.said()


async def test_the_bot_of_the_readme_waits_for_a_market(url: str) -> None:
    async with running(talk_to_it().replace(SHOWN, url)) as bot, connect(url) as others:
        await others.limit("bid", 99, 1)
        await others.limit("ask", 101, 1)
        assert "price=99.0," in await bot.said()
        assert "price=101.0," in await bot.said()


async def test_the_bot_of_the_readme_goes_on_when_its_line_is_cut(url: str, others: Market) -> None:
    line = Line(url)
    async with (
        line.open() as through,
        running(talk_to_it().replace(SHOWN, through)) as bot,
    ):
        for side in ("bid", "ask"):
            assert f"type='{side}'" in await bot.said()
        line.mute = True  # it is not told of its fill
        await others.market("ask", 1.5)
        line.cut()
        line.mute = False
        assert "type='ask', exec_type='limit', price=100.02," in await bot.said()
        line.deaf, line.swallowed = True, 0  # what it sends then is lost
        await others.market("bid", 0.5)
        await until(lambda: line.swallowed > 0)
        line.cut()
        line.deaf = False
        assert "type='bid', exec_type='limit', price=100.0," in await bot.said()
        listed = (await others.api.book()).agg_order_book.bid
        assert next(level.amount for level in listed if level.price == 100.0) == 0.5


async def test_the_raw_form_in_the_protocol_prints_what_the_server_says(url: str) -> None:
    (code,) = blocks("docs/protocol.md")
    code = code.replace(SHOWN.replace("http", "ws"), url.replace("http", "ws"))
    async with running(code) as raw, asyncio.timeout(PATIENCE_S):
        while '"ref":"1","status":"open"' not in await raw.said():
            pass


async def interrupted(program: tuple[str, ...], line: Line) -> tuple[int | None, str]:
    """Press Ctrl-C once a program is connected; return its exit code and what it complains of."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", *program),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))},
        # As a terminal starts it; what runs in the background of a shell inherits "ignore".
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    async with asyncio.timeout(PATIENCE_S):
        try:
            await until(lambda: line.websockets > 0)
            process.send_signal(signal.SIGINT)
            _, complaints = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
    return process.returncode, complaints.decode()


@pytest.mark.parametrize("name", ["README.md", "protocol.md", "market_maker", "plot_session"])
async def test_ctrl_c_ends_a_shown_program_without_a_traceback(
    name: str, url: str, others: Market, tmp_path: Path
) -> None:
    line = Line(url)
    async with line.open() as through:
        programs: dict[str, tuple[str, ...]] = {
            "README.md": ("-c", talk_to_it().replace(SHOWN, through)),
            "protocol.md": ("-c", blocks("docs/protocol.md")[0].replace(SHOWN[7:], through[7:])),
            "market_maker": (str(ROOT / "examples/market_maker.py"), through, "100"),
            "plot_session": (
                *(str(ROOT / "examples/plot_session.py"), through),
                *("--out", str(tmp_path / "session.png")),
            ),
        }
        assert await interrupted(programs[name], line) == (130, "")


CLIENT = blocks("docs/client.md")


@pytest.mark.parametrize("number", range(len(CLIENT)))
async def test_a_block_of_the_clients_page_does_what_it_says(
    number: int, url: str, others: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    code = CLIENT[number].replace(SHOWN, url)
    code = code.replace("from fastbook_client import *\n", "")
    if "sync.connect" in code:
        await asyncio.to_thread(exec, compile(code, "docs/client.md", "exec"), {})
        assert "Level(" in capsys.readouterr().out
        return
    names: dict[str, object] = {}
    whole = "import asyncio\nfrom fastbook_client import *\nasync def block(market):\n"
    exec(compile(whole + textwrap.indent(code, "    "), "docs/client.md", "exec"), names)
    async with asyncio.timeout(PATIENCE_S), connect(url) as market:
        await names["block"](market)  # type: ignore[operator]
