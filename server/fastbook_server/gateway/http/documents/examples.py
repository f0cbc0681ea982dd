"""The documents' examples: a session that was played against a server, frame by frame.

``session.json`` holds its steps; a test plays it again and expects the same, so no example can say
what the server does not.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

SESSION = Path(__file__).parent / "session.json"


class Step(msgspec.Struct, omit_defaults=True):
    """Something that `who` does, and what everybody is told because of it.

    ``connect`` is the query of a new connection, ``send`` a frame, ``get`` a path, ``wait`` the
    frame that comes by itself in time; the clock stands at ``time``. ``told`` holds the frames by
    receiver, ``status`` and ``answer`` what HTTP says.
    """

    about: str
    time: int
    who: str = ""
    connect: dict[str, str] | None = None
    send: Any = None
    get: str | None = None
    wait: str | None = None
    status: int = 200
    answer: Any = None
    told: dict[str, list[Any]] = {}


@cache
def session() -> tuple[Step, ...]:
    """Return the steps, in order."""
    return tuple(msgspec.json.decode(SESSION.read_bytes(), type=list[Step]))


def commands(op: str) -> list[tuple[str, Any]]:
    """Return (what it is about, command) of the examples of a command, those that are one."""
    return [
        (step.about, step.send)
        for step in session()
        if isinstance(step.send, dict)
        and step.send.get("op") == op
        and not any(frame.get("code") == "bad_frame" for frame in step.told.get(step.who, ()))
    ]


def frames(event: str) -> list[tuple[str, Any]]:
    """Return (what it followed on, frame) of the examples of a frame."""
    return [
        (step.about, frame)
        for step in session()
        for told in step.told.values()
        for frame in told
        if frame["event"] == event
    ]


def answers(path: str, status: int | None = None) -> list[tuple[str, Step]]:
    """Return (what it is about, step) of the examples of an HTTP path; `status`: of only these."""
    return [
        (step.about, step)
        for step in session()
        if step.get is not None
        and step.get.partition("?")[0] == path
        and status in (None, step.status)
    ]
