"""Ctrl-C ends every command with 130 and without a traceback, at whatever moment it comes."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from terminal import Terminal

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryStore
from peers import until

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60
COMMANDS = (
    ("connect", "{url}"),
    ("top", "{url}", "--json"),
    ("sim", "--url", "{url}"),
    ("bench", "--url", "{url}", "--rate", "10", "--seconds", "600"),
)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    running = await Server.start(Config(port=0), MemoryStore())
    yield running
    await running.stop()


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def command(words: tuple[str, ...], url: str) -> subprocess.Popen[str]:
    return start("-m", "fastbook_cli", *(word.format(url=url) for word in words))


def interrupted(process: subprocess.Popen[str], times: int = 1) -> tuple[int, str]:
    """Press Ctrl-C; return the exit code, and what was said of it."""
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, err.strip()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("library", ["/msgspec/", "/aiohttp/", "/uvloop/"])
@pytest.mark.parametrize("words", COMMANDS[:2], ids=lambda words: words[0])
def test_while_it_still_loads(server: Server, words: tuple[str, ...], library: str) -> None:
    """The server does not answer meanwhile: this test has its loop."""
    process = command(words, server.url)
    maps = Path(f"/proc/{process.pid}/maps")
    deadline = time.monotonic() + PATIENCE_S
    while library not in maps.read_text(encoding="utf-8"):
        assert time.monotonic() < deadline, f"{library} is never loaded"
    assert interrupted(process) == (130, "")


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
async def test_while_it_runs_twice_over(server: Server, words: tuple[str, ...]) -> None:
    """A terminal signals each process of a command, and make passes it on once more."""
    process = command(words, server.url)
    await until(lambda: server.gateway.door.session_count > 0)
    code, err = await asyncio.to_thread(interrupted, process, 2)
    assert (code, "Traceback" in err) == (130, False), err


# ---- the README's bot, and make ------------------------------------------------------------------


def test_the_bot_of_the_readme_ends_quietly_too(server: Server, tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    bots = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    bot = next(code for code in bots if "until Ctrl-C" in code)
    (tmp_path / "bot.py").write_text(bot.replace("http://127.0.0.1:8080", server.url))
    process = start(str(tmp_path / "bot.py"))
    maps = Path(f"/proc/{process.pid}/maps")
    deadline = time.monotonic() + PATIENCE_S
    while sys.platform.startswith("linux") and "/aiohttp/" not in maps.read_text():
        assert time.monotonic() < deadline
    code, err = interrupted(process)
    assert (code, "Traceback" in err) == (130, False), err


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not here")
def test_through_make(tmp_path: Path) -> None:
    """The recipe of ``make run``, with a demo that needs no database."""
    rule = re.search(r"^run:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert rule is not None
    program = tmp_path / "fastbook"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m fastbook_cli "$@"\n')
    program.chmod(0o755)
    (tmp_path / "Makefile").write_text(f"BIN := {tmp_path}\nrun:\n{rule[1]}")
    terminal = Terminal(
        *("make", "-C", str(tmp_path), "run", "ARGS=--in-memory --port 0 --past 0"),
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        terminal.until("spread")
        terminal.type("\x03")
        code = terminal.end()
        assert code in (0, -signal.SIGINT), "make ends as its shell does, or by the signal"
        assert "Traceback" not in terminal.text
        assert "Error" not in terminal.text
        assert "stopped after" in terminal.text
    finally:
        terminal.close()
