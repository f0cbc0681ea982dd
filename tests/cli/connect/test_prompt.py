"""``fastbook connect`` as a person meets it: in a terminal, with a prompt."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import termios
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from terminal import Terminal, fastbook

from fastbook_cli.connect.prompt import WordCompleter, ctrl_d_as_a_key
from fastbook_cli.connect.words import VERBS, Speaker
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryStore

PROMPT = "BTC-USD>"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    running = await Server.start(Config(port=0), MemoryStore())
    yield running
    await running.stop()


@pytest.fixture
def connect(server: Server, tmp_path: Path) -> Iterator[Callable[[], Terminal]]:
    """Start prompts that share a history."""
    opened: list[Terminal] = []

    def connect_() -> Terminal:
        address = server.url.removeprefix("http://")
        env = {"XDG_STATE_HOME": str(tmp_path)}
        opened.append(Terminal(*fastbook("connect", address), env=env))
        return opened[-1]

    yield connect_
    for terminal in opened:
        terminal.close()


def trade(terminal: Terminal) -> None:
    terminal.until("connected to", PROMPT)
    terminal.type("sell 2 101\r")
    terminal.until("open", "#1 sell 2.0000 BTC-USD at 101.00")
    terminal.type("buy 1 101\r")
    terminal.until("sold 1.0000 at 101.00", "order #1")
    terminal.type("bo\t 3\r")
    terminal.until("101.00", "1.0000", "█")
    terminal.type("frob\r")
    terminal.until("expected a word (help lists them) or JSON, got 'frob'")
    terminal.type("buy x\r")
    terminal.until("expected an amount, got 'x'")
    terminal.type('{"op":"ping","ref":7}\r')
    terminal.until('{"event":"pong","ref":7')
    terminal.type("cancel\r")
    terminal.until("1 order cancelled")
    terminal.type("history\r")
    terminal.until("cancelled", "#1 sell 2.0000 BTC-USD at 101.00, 1.0000 filled", "#2 buy 1.0000")
    terminal.type("position\r")
    terminal.until("no position in BTC-USD, realised 0.00")  # both sides of the trade were his
    terminal.type("sell 1 99 stop 100\r")
    terminal.until("waits", "#3 sell 1.0000 BTC-USD at 99.00, stop at 100.00 or below")
    terminal.type("sell 1 take 120\r")
    terminal.until("#4 sell 1.0000 BTC-USD at the market, take profit at 120.00 or above")
    terminal.type("\x04")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.text


async def test_words_json_completion_and_the_end(connect: Callable[[], Terminal]) -> None:
    await asyncio.to_thread(trade, connect())


def remember(first: Terminal, connect: Callable[[], Terminal], history: Path) -> None:
    first.until(PROMPT)
    first.type("order earlier\r")
    first.until("refused")
    first.type("quit\r")
    assert first.end() == 0
    assert "+order earlier" in history.read_text(encoding="utf-8").splitlines()
    second = connect()
    second.until(PROMPT)
    second.type("half a line\x03")
    second.until(PROMPT)
    second.type("\x03")
    assert second.end() == 130
    assert "Traceback" not in second.text


async def test_lines_are_remembered_and_ctrl_c_drops_one(connect, tmp_path: Path) -> None:
    history = tmp_path / "fastbook/connect-history"
    await asyncio.to_thread(remember, connect(), connect, history)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0)])
async def test_a_signal_ends_it_and_gives_the_terminal_back(connect, number, code) -> None:
    def end(terminal: Terminal) -> None:
        terminal.until(PROMPT)
        assert terminal.end(number) == code
        assert "Traceback" not in terminal.text

    await asyncio.to_thread(end, connect())


async def test_a_server_that_stops_is_one_line(connect, server: Server) -> None:
    terminal = connect()
    await asyncio.to_thread(terminal.until, PROMPT)
    await server.stop()
    code = await asyncio.to_thread(terminal.end)
    assert code == 1
    assert "fastbook: 127.0.0.1:" in terminal.text
    assert "Traceback" not in terminal.text


def test_ctrl_d_is_a_key_also_while_the_terminal_takes_lines() -> None:
    typed, terminal = pty.openpty()
    try:
        before = termios.tcgetattr(terminal)
        with ctrl_d_as_a_key(terminal):
            os.write(typed, b"\x04b")
            echo = b""
            while b"b" not in echo:  # then the terminal has taken both
                echo += os.read(typed, 10)
            tty.setraw(terminal, termios.TCSANOW)
            assert os.read(terminal, 10) == b"\x04b"
        assert termios.tcgetattr(terminal) == before
    finally:
        os.close(typed)
        os.close(terminal)


# ---- completion ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", VERBS),
        ("bo", ("book",)),
        ("use ", ("BTC-USD", "ETH-USD")),
        ("use e", ("ETH-USD",)),
        ("cancel ", ("all", "bids", "asks", "1")),
        ("candles ", ("1s", "1m", "5m", "1h", "1d")),
        ("buy 1 99 p", ("post",)),
        ('{"op":', ()),
    ],
)
def test_a_word_is_completed_by_what_may_stand_there(typed: str, expected: tuple) -> None:
    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    speaker = Speaker("BTC-USD", ("BTC-USD", "ETH-USD"), "me-")
    speaker.understand("buy 1 99")
    found = WordCompleter(speaker).get_completions(Document(typed), CompleteEvent())
    assert tuple(completion.text for completion in found) == expected
