"""The documents' examples: a session recorded against a server, frame by frame.

``session.json`` holds its steps. A test replays them and expects the same frames, so every example
is what the server really sends.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec

SESSION = Path(__file__).parent / "session.json"


class Step(msgspec.Struct, omit_defaults=True):
    """An action of `who`, and the frames that each client receives because of it.

    ``connect`` is the query of a new connection, ``send`` a frame, ``get`` a path (with `who`, as
    that user), and ``wait`` a frame that comes as time passes; the clock stands at ``time``.
    ``told`` holds the frames by receiver; ``status`` and ``answer`` are the HTTP response.
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
    """Return the steps in order."""
    return tuple(msgspec.json.decode(SESSION.read_bytes(), type=list[Step]))


def commands(op: str) -> list[tuple[str, Any]]:
    """Return (about, command) of each valid example of a command."""
    return [
        (step.about, step.send)
        for step in session()
        if isinstance(step.send, dict)
        and step.send.get("op") == op
        and not any(frame.get("code") == "bad_frame" for frame in step.told.get(step.who, ()))
    ]


def frames(event: str) -> list[tuple[str, Any]]:
    """Return (about, frame) of each example of a frame; `about` is what caused it."""
    return [
        (step.about, frame)
        for step in session()
        for told in step.told.values()
        for frame in told
        if frame["event"] == event
    ]


def answers(path: str, status: int | None = None) -> list[tuple[str, Step]]:
    """Return (about, step) of each example of an HTTP path; `status` selects one status."""
    return [
        (step.about, step)
        for step in session()
        if step.get is not None
        and step.get.partition("?")[0] == path
        and status in (None, step.status)
    ]
