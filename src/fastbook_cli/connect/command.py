"""The command line of ``fastbook connect``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from typing import Any

import click

from fastbook_cli.options import with_servers


def connect_command(run_loop: Callable[[Coroutine[Any, Any, int]], int]) -> click.Command:
    """Return the command; `run_loop` runs it and returns the exit code of the process."""

    @click.command()
    @with_servers
    @click.option("--security", metavar="NAME", help="Security to trade; default: the first.")
    @click.option("--no-feed", is_flag=True, help="Receive no books and trades, only replies.")
    @click.option("--json", "as_json", is_flag=True, help="Print frames, in a terminal too.")
    def connect(url: str, security: str | None, no_feed: bool, as_json: bool) -> int:
        """Trade and look at a server by hand, in words or in the wire's JSON.

        \b
        BTC-USD> buy 1 99.5          a limit order; without a price at the market
        BTC-USD> cancel 1            the first order of this session; cancel alone: all of them
        BTC-USD> book                a picture of the book
        BTC-USD> help                all words
        BTC-USD> {"op":"orders"}     a command of the wire

        In a terminal, the prompt completes words (Tab), remembers lines over sessions (Up, Ctrl-R),
        and ends with quit or Ctrl-D. Elsewhere it prints the frames of the wire, one per line, and
        ends once everything that was typed has been answered:

        \b
            echo "orders" | fastbook connect
            printf 'buy 1 99.5\\nbook 5\\ncancel\\n' | fastbook connect --no-feed
            tail -f /dev/null | fastbook connect     to watch without typing

        A server that wants a token for commands gets that of FASTBOOK_TOKEN, from the environment.
        """
        if sys.stdin.isatty() and sys.stdout.isatty() and not as_json:
            from fastbook_cli.connect import prompt

            return run_loop(prompt.run(url, security=security))
        from fastbook_cli.connect import pipe

        return run_loop(pipe.run(url, security=security, feed=not no_feed))

    return connect
