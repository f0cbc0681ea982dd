"""What the view of a cluster's demo shows of what was seen."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("nats", reason="nats-py is not installed")

from rich.console import Console

from fastbook_cli.cluster.demo.lookout import Sight
from fastbook_cli.cluster.demo.parts import NatsPart
from fastbook_cli.cluster.demo.story import Story
from fastbook_cli.cluster.demo.view import Advice, Shown, line, screen
from fastbook_server.cluster.nats.stream import LogHealth, LogReplica
from fastbook_server.cluster.roll_call import Answer

NODES: Any = SimpleNamespace(configuration=str, names=["n0", "n1"], pid=lambda _: 20)
LOG = LogHealth(1, 1_200, 0, 0, (LogReplica("n0", True, True, 0), LogReplica("n1", False, True, 0)))


def part(name: str, pid: int | None = 1) -> Any:
    return SimpleNamespace(name=name, kind=name.partition(" ")[0], pid=pid)


def shown() -> Shown:
    """Return two matchers, of which the second is down, and what they work with."""
    answers = {
        "gateway 1": Answer(
            role="gateway", state="ready", read=1_198, waiting=7, sessions=3, url="http://g"
        ),
        "matcher 1": Answer(role="matcher", state="owner", read=1_200, epoch=4, pid=1),
        "recorder": Answer(role="recorder", state="ready", read=1_150),
    }
    story = Story(lambda _: None)
    story.seen(answers, 1.0)
    parts = [*map(part, answers), part("matcher 2", None), *(NatsPart(NODES, n) for n in (0, 1))]
    return Shown(
        Sight({name: {"": a} for name, a in answers.items()}, {"": LOG}, {"gateway 1": 210.4}),
        parts,
        story,
    )


def drawn(what: Shown, columns: int = 120) -> list[str]:
    console = Console(file=io.StringIO(), width=columns, color_system=None)
    advice = [Advice("fastbook cluster kill matcher", "the standby takes over")]
    with console.capture() as captured:
        console.print(screen(what, ["12:00:00  matcher 2 was killed"], advice))
    return [row.rstrip() for row in captured.get().splitlines()]


def test_the_line_tells_who_decides_who_lags_and_what_is_in_flight():
    assert line(shown()) == (
        "matcher 1 decides, epoch 4  |  log 1,200  |  recorder 50 behind  |  in flight 7  |  "
        "210 commands/s  |  nats 1 leads the log"
    )


def test_the_line_tells_what_is_not_there():
    nothing = Shown(Sight(), [], Story(lambda _: None))
    assert line(nothing) == (
        "nobody decides  |  log away  |  in flight 0  |  0 commands/s  |  nobody leads the log"
    )


def test_each_process_has_a_row():
    rows = [row.split() for row in drawn(shown())]
    assert ["gateway", "1", "ready", "1", "2", "7", "210", "3", "http://g/"] in rows
    assert ["matcher", "1", "decides", "1", "0", "0"] in rows
    assert ["matcher", "2", "down"] in rows
    assert ["recorder", "ready", "1", "50"] in rows
    assert ["nats", "1", "leads", "the", "log", "20", "0"] in rows
    assert ["nats", "2", "follows", "20", "0"] in rows
    assert "12:00:00  matcher 2 was killed" in drawn(shown())


def test_commands_are_whole_where_there_is_room_for_nothing_else():
    assert "fastbook cluster kill matcher   the st…" in drawn(shown(), 39)
