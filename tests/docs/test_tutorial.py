"""The tutorial's code, run as it stands: its programs, its tests, and every command line."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import click
import pytest

from fastbook_cli.connect.words import Speaker
from fastbook_cli.main import cli
from fastbook_client.market import Market, connect
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryStore

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs/tutorial"
DOCUMENTS = sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md")))
PATIENCE_S = 60


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text("utf-8"), re.M | re.S)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    running = await Server.start(Config(port=0, throttle_ms=10), MemoryStore())
    yield running
    await running.stop()


@pytest.fixture
async def others(server: Server) -> AsyncIterator[Market]:
    """Who makes the market that the tutorial trades in."""
    async with connect(server.url, queue_max=0) as market:
        await market.limit("bid", 99, 10)
        await market.limit("ask", 101, 10)
        yield market


async def started(code: str, url: str) -> asyncio.subprocess.Process:
    assert "http://127.0.0.1:8080" in code
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-u", "-c", code.replace("http://127.0.0.1:8080", url)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))},
    )


async def said(process: asyncio.subprocess.Process) -> list[str]:
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    return out.decode().splitlines()


async def offered(market: Market, price: float) -> None:
    """Wait until somebody asks for this price."""
    async with asyncio.timeout(PATIENCE_S):
        while price not in [o.price for o in (await market.api.book()).agg_order_book.ask]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_the_first_order(server: Server, others: Market) -> None:
    (code,) = blocks(TUTORIAL / "first-order.md", "python")
    assert await said(await started(code, server.url)) == [
        "best bid 99.0 best ask 101.0",
        "open with 0.5 left of 0.5",
    ]


def test_the_words_of_the_first_order_are_understood() -> None:
    speaker = Speaker("BTC-USD", ("BTC-USD",), "me-")
    lines = re.findall(r"^BTC-USD> (.*)$", (TUTORIAL / "first-order.md").read_text("utf-8"), re.M)
    assert len(lines) >= 6
    for line in lines:
        assert line.startswith("{") or speaker.understand(line) is not None, line


async def test_the_first_bot(server: Server, others: Market) -> None:
    (code,) = blocks(TUTORIAL / "first-bot.md", "python")
    bot = await started(code, server.url)
    await offered(others, 101.01)
    await others.cancel_all(side="ask")
    await others.market("bid", 0.5)
    assert await said(bot) == ["sold 0.5 at 101.01", "profit 0.005"]


async def test_the_bot_of_the_readme_in_ten_lines(server: Server, others: Market) -> None:
    code = blocks(ROOT / "README.md", "python")[0].replace(
        "127.0.0.1:8080", "http://127.0.0.1:8080"
    )
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 12
    bot = await started(code, server.url)
    await offered(others, 101.05)
    await others.cancel_all(side="ask")
    await others.market("bid", 0.01)
    assert await said(bot) == ["bought at 101.0", "sold at 101.05"]


def test_the_tests_of_the_tutorial_pass(tmp_path: Path) -> None:
    (code,) = blocks(TUTORIAL / "test-your-bot.md", "python")
    (tmp_path / "test_mine.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "2 passed" in done.stdout) == (0, True), done.stdout


# ---- command lines ------------------------------------------------------------------------------


COMMAND = re.compile(r"^(?:\w+=\S+ |ssh \S+ )*(?:[\w.~/-]*/)?fastbook ([a-z].*)$")


def command_lines() -> Iterator[tuple[str, str]]:
    for path in DOCUMENTS:
        for line in "\n".join(blocks(path, "sh")).splitlines():
            for part in re.split(r"\s(?:\||&&|;)\s", line.partition(" #")[0].strip()):
                if found := COMMAND.match(part):
                    yield path.relative_to(ROOT).as_posix(), found[1]


LINES = sorted(set(command_lines()))


@pytest.mark.parametrize(("document", "line"), LINES, ids=lambda text: text[:60])
def test_a_command_line_of_the_documents_is_one(document: str, line: str) -> None:
    """Its command and its options exist; what files it names need not be there."""
    words = shlex.split(line.partition(" >")[0])
    command = cli.commands.get(words[0])
    assert command is not None, f"{document}: {line}"
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
    known |= {"-h", "--help"}
    if isinstance(command, click.Group):
        return
    given = {word.partition("=")[0] for word in words[1:] if word.startswith("--")}
    assert given - known == set(), f"{document}: {line}"


def test_there_are_command_lines_to_look_at() -> None:
    assert len(LINES) >= 25
