"""``fastbook cluster status``: who is there, and what each one does."""

from __future__ import annotations

import asyncio

import click
import msgspec
from rich.console import Console
from rich.table import Table

from fastbook_server.cluster.log import LogUnavailable
from fastbook_server.cluster.nats.line import NatsLine
from fastbook_server.cluster.nats.stream import NatsLog
from fastbook_server.cluster.process import connect
from fastbook_server.cluster.roll_call import Answer, RollCall
from fastbook_server.cluster.settings import ClusterSettings

EVERY_S = 1.0
PIPE_COLUMNS = 140


async def run(settings: ClusterSettings, *, as_json: bool, watch: bool) -> int:
    """Print who is there; return 1 if nobody owns the market.

    Raises:
        LogUnavailable: the log's servers do not answer.
    """
    connection = await connect(settings, "fastbook cluster")
    try:
        log, line = NatsLog(connection, settings.shard), NatsLine(connection)
        calls = RollCall(line, settings.shard)
        await calls.open()
        while True:
            answers = await calls.ask()
            _print(answers, await _end(log), as_json=as_json)
            if not watch:
                return 0 if any(a.state == "owner" for a in answers) else 1
            await asyncio.sleep(EVERY_S)
    finally:
        await connection.close()


async def answers_of(settings: ClusterSettings) -> list[Answer]:
    """Return who is there.

    Raises:
        LogUnavailable: the log's servers do not answer.
    """
    connection = await connect(settings, "fastbook cluster")
    try:
        calls = RollCall(NatsLine(connection), settings.shard)
        await calls.open()
        return await calls.ask()
    finally:
        await connection.close()


async def _end(log: NatsLog) -> int | None:
    try:
        return await log.end()
    except LogUnavailable:
        return None


def _print(answers: list[Answer], end: int | None, *, as_json: bool) -> None:
    if as_json:
        for answer in answers:
            click.echo(msgspec.json.encode(answer))
        return
    console = Console()
    if not console.is_terminal:  # a pipe has no width, and whoever reads it wants whole URLs
        console.width = max(console.width, PIPE_COLUMNS)
    console.print(table(answers, end))


def table(answers: list[Answer], end: int | None) -> Table:
    """Return the table of the answers; `end` is the number of the log's last message."""
    name = "no answer" if end is None else f"{end:,} messages"
    shown = Table(title=f"log: {name}", title_justify="left", box=None, pad_edge=False)
    for column in ("role", "state", "epoch", "read", "behind", "waiting", "sessions", "where"):
        number = column in ("epoch", "read", "behind", "waiting", "sessions")
        shown.add_column(column, justify="right" if number else "left")
    for a in answers:
        behind = "" if end is None else f"{max(0, end - a.read):,}"
        sessions = str(a.sessions) if a.role == "gateway" else ""
        waiting = "" if a.role == "recorder" else str(a.waiting)
        where = f"{a.url or a.host}  pid {a.pid}"
        shown.add_row(
            a.role, a.state, str(a.epoch), f"{a.read:,}", behind, waiting, sessions, where
        )
    return shown
