"""``fastbook cluster kill``: end or freeze a process of a cluster that runs on this machine."""

from __future__ import annotations

import os
import signal
import socket
from typing import NamedTuple

from fastbook_cli.cluster import local
from fastbook_cli.cluster.local import DemoState
from fastbook_cli.cluster.status import answers_of
from fastbook_cli.errors import CommandError
from fastbook_server.cluster.roll_call import Answer
from fastbook_server.cluster.settings import ClusterSettings

ROLES = ("matcher", "standby", "gateway", "recorder")
SIGNALS = {
    "KILL": ("killed", signal.SIGKILL),
    "TERM": ("asked to stop", signal.SIGTERM),
    "STOP": ("frozen", signal.SIGSTOP),
    "CONT": ("woken", signal.SIGCONT),
}


class KillError(CommandError):
    """There is nothing of that kind to kill, or not on this machine."""


class Target(NamedTuple):
    """A process of this machine, its number among its kind, and a `mark` in its command line."""

    name: str
    number: int
    pid: int
    mark: str


async def run(
    settings: ClusterSettings, demo: DemoState | None, what: str, number: int | None, sign: str
) -> int:
    """Send a signal to a process, print to which; return 0.

    Raises:
        KillError: there is none, or it runs on another machine.
        LogUnavailable: the log's servers do not answer.
    """
    if what == "postgres" and sign != "KILL":
        raise KillError(f"postgres: expected --signal KILL, which its children heed, got {sign}")
    decides = what in ("matcher", "standby")  # which of them does is known by asking
    if what not in ROLES or sign == "CONT" or (demo is not None and not decides):
        targets = _of_demo(demo, what, frozen=sign == "CONT")
    else:
        targets = _of_roll_call(await answers_of(settings), what)
    if not targets:
        which = f"frozen {what}" if sign == "CONT" else what
        raise KillError(f"there is no {which} to be found: see fastbook cluster status")
    target = _chosen(targets, what, number)
    if target.mark not in local.command_line(target.pid):
        raise KillError(f"pid {target.pid} is no {target.name} any more: look again")
    did, signal_number = SIGNALS[sign]
    try:
        os.kill(target.pid, signal_number)
    except OSError as error:
        raise KillError(f"{target.name}, pid {target.pid}: {error.strerror}") from None
    print(f"{did}: {target.name}, pid {target.pid}", flush=True)
    return 0


def _of_demo(demo: DemoState | None, what: str, *, frozen: bool) -> list[Target]:
    """Return those that only the demo knows: the roll call knows programs that answer."""
    if demo is None:
        why = "a frozen process answers nobody" if frozen else f"a cluster does not know its {what}"
        raise KillError(f"{why}: expected a fastbook cluster demo, or send the signal yourself")
    parts = demo.of_kind("matcher" if what == "standby" else what)
    return [
        Target(part.name, int(part.name.partition(" ")[2] or 1), part.pid, part.mark)
        for part in parts
        if part.is_frozen or not frozen
    ]


def _of_roll_call(answers: list[Answer], what: str) -> list[Target]:
    """Return the processes of a kind on this machine, in the order of ``cluster status``.

    Raises:
        KillError: there are some, all of them on other machines.
    """
    of_kind = [a for a in answers if _is(a, what)]
    here = socket.gethostname()
    local_ones = {a.pid: a for a in reversed(of_kind) if a.host == here}  # each once
    targets = [
        Target(_name(what, a), number, a.pid, f" {a.role} ")
        for number, a in enumerate(reversed(local_ones.values()), start=1)
    ]
    if of_kind and not targets:
        places = ", ".join(f"{a.host} (pid {a.pid})" for a in of_kind)
        raise KillError(f"{what}: expected one on {here}, got those on {places}")
    return targets


def _name(what: str, answer: Answer) -> str:
    of_shard = f" of shard {answer.shard}" if answer.shard and answer.role == "matcher" else ""
    return f"{what} {answer.url}{of_shard}"


def _is(answer: Answer, what: str) -> bool:
    if answer.role != "matcher":
        return answer.role == what
    return what == ("matcher" if answer.state == "owner" else "standby")


def _chosen(targets: list[Target], what: str, number: int | None) -> Target:
    for target in targets:
        if number in (None, target.number):
            return target
    numbers = ", ".join(str(target.number) for target in targets)
    raise KillError(f"{what}: expected the number {numbers}, got {number}")
