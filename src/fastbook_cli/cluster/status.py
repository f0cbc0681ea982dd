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
from fastbook_server.cluster.roll_call import ANSWERS_S, Answer, RollCall
from fastbook_server.cluster.settings import ClusterSettings

EVERY_S = 1.0
PIPE_COLUMNS = 140


async def run(settings: ClusterSettings, *, as_json: bool, watch: bool) -> int:
    """Print who is there; return 1 if nobody owns the market, or a shard of it.

    Raises:
        LogUnavailable: the log's servers do not answer.
    """
    connection = await connect(settings, "fastbook cluster")
    try:
        calls = await opened(settings, NatsLine(connection))
        logs = {name: NatsLog(connection, name) for name in calls}
        while True:
            answers = await asked(calls)
            for name, log in logs.items():
                _print(name, answers[name], await _end(log), as_json=as_json)
            if not watch:
                owned = [any(a.state == "owner" for a in of) for of in answers.values()]
                return 0 if all(owned) else 1
            await asyncio.sleep(EVERY_S)
    finally:
        await connection.close()


async def opened(settings: ClusterSettings, line: NatsLine) -> dict[str, RollCall]:
    """Return the roll call of each shard.

    Raises:
        LogUnavailable: the log's servers do not answer.
    """
    calls = {name: RollCall(line, name) for name in settings.shard_names}
    for each in calls.values():
        await each.open()
    return calls


async def asked(calls: dict[str, RollCall], wait_s: float = ANSWERS_S) -> dict[str, list[Answer]]:
    """Return who is there, in each shard."""
    answers = await asyncio.gather(*(each.ask(wait_s) for each in calls.values()))
    return dict(zip(calls, answers, strict=True))


async def answers_of(settings: ClusterSettings) -> list[Answer]:
    """Return who is there, shard by shard.

    Raises:
        LogUnavailable: the log's servers do not answer.
    """
    connection = await connect(settings, "fastbook cluster")
    try:
        answers = await asked(await opened(settings, NatsLine(connection)))
        return [answer for of_shard in answers.values() for answer in of_shard]
    finally:
        await connection.close()


async def _end(log: NatsLog) -> int | None:
    try:
        return await log.end()
    except LogUnavailable:
        return None


def _print(shard: str, answers: list[Answer], end: int | None, *, as_json: bool) -> None:
    if as_json:
        for answer in answers:
            click.echo(msgspec.json.encode(answer))
        return
    console = Console()
    if not console.is_terminal:  # a pipe has no width, and whoever reads it wants whole URLs
        console.width = max(console.width, PIPE_COLUMNS)
    console.print(table(answers, end, shard))


def table(answers: list[Answer], end: int | None, shard: str = "") -> Table:
    """Return the table of a shard's answers; `end` is the number of its log's last message."""
    name = "no answer" if end is None else f"{end:,} messages"
    log = f"log {shard}" if any(a.shard for a in answers) else "log"
    shown = Table(title=f"{log}: {name}", title_justify="left", box=None, pad_edge=False)
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
