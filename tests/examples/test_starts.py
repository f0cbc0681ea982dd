"""What the programs of ``examples`` say when they cannot start: one line, and no traceback."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest
from node import EXAMPLES, node

NOBODY = "127.0.0.1:1"


def said(*command: object) -> tuple[int, str]:
    """Run a program without input; return its exit code and its complaint."""
    ran = subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.stdout == ""
    return ran.returncode, ran.stderr


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (("market_maker.py",), "usage: python market_maker.py http://127.0.0.1:8080 MID"),
        (("market_maker.py", NOBODY, "x"), "market_maker: could not convert string to float: 'x'"),
        (("market_maker.py", "ftp://x", "1"), "market_maker: expected HOST:PORT, "),
        (("market_maker.py", NOBODY, "100"), f"market_maker: nothing listens at {NOBODY}"),
        (("plot_session.py", "ftp://x"), "plot_session: expected HOST:PORT, "),
        (("plot_session.py", NOBODY), f"plot_session: nothing listens at {NOBODY}"),
    ],
)
def test_a_program_in_python(given: tuple[str, ...], line: str) -> None:
    if given[0] == "plot_session.py":
        pytest.importorskip("matplotlib", reason="the plot needs matplotlib")
    code, complaint = said(sys.executable, EXAMPLES / given[0], *given[1:])
    assert (code, complaint[: len(line)], complaint.count("\n")) == (1, line, 1)


@pytest.mark.parametrize("given", [(), ("not an address",), ("ftp://127.0.0.1:1",)])
def test_the_follower_without_the_address_of_a_server(given: tuple[str, ...]) -> None:
    usage = "usage: node follower.mjs http://127.0.0.1:8080 [SECURITY…]\n"
    assert said(*node(), EXAMPLES / "follower.mjs", *given) == (1, usage)


def test_the_follower_on_a_node_that_is_too_old() -> None:
    program = shutil.which("node")
    if program is None:
        pytest.skip("no node to run without its WebSocket")
    flag = "--no-experimental-websocket"
    old = said(program, flag, EXAMPLES / "follower.mjs", "ws://127.0.0.1:1/ws")
    assert old == (1, "expected Node 22 or newer, or 20.15 with --experimental-websocket\n")
