"""How a command fails: with one line on stderr and an exit code.

The commands raise a ``CommandError``. What the server's modules raise keeps its class, and
``server_errors`` is the table of how each ends the process.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import ClassVar, NamedTuple, Self


class CommandError(Exception):
    """A command cannot be carried out; the message is what the user reads."""

    exit_code: ClassVar[int] = 1
    """1: it failed; 2: the command line, a setting or an input file is wrong."""


class NoServerError(CommandError):
    """No server answers at the URL, or it refused or closed the connection."""

    @classmethod
    def at(cls, url: str, error: BaseException) -> Self:
        """Return the exception for an address and what went wrong there; it is named once.

        What is said of several servers, with commas between them, names each itself.
        """
        said = said_by(error)
        if "," in url:
            return cls(said)
        if not said.startswith("nothing listens at "):
            return cls(f"{url}: {said}")
        return cls(f"{said}: start a server with fastbook serve, or fastbook demo")


class OutputGoneError(CommandError):
    """The reader of the output has gone, as ``| head`` does."""


class Ending(NamedTuple):
    """How an exception ends the process; `prefix` goes before its message."""

    exit_code: int
    prefix: str = ""


def server_errors() -> dict[type[Exception], Ending]:
    """Return how each exception of the server and the operating system ends a command.

    A function, because importing the server's modules takes longer than ``fastbook --help``.
    """
    from fastbook_server.cluster.log import LogUnavailable
    from fastbook_server.config import ConfigError
    from fastbook_server.embedded.supervisor import EmbeddedError
    from fastbook_server.gateway.aiohttp_seam import AiohttpError
    from fastbook_server.gateway.listener import ListenError
    from fastbook_server.store import (
        TAKEN_OVER,
        StoreError,
        StoreFenced,
        StoreRefused,
        StoreUnavailable,
    )

    return {
        AiohttpError: Ending(1),
        ConfigError: Ending(2),
        StoreRefused: Ending(2),
        StoreFenced: Ending(TAKEN_OVER),
        StoreUnavailable: Ending(1, "the database cannot be reached: "),
        StoreError: Ending(1),
        LogUnavailable: Ending(1, "the log cannot be reached: "),
        EmbeddedError: Ending(1),
        ListenError: Ending(1),
        OSError: Ending(1),
    }


def server_ending(error: Exception) -> Ending:
    """Return how one of ``server_errors`` ends a command; the nearest class in it decides."""
    table = server_errors()
    return next(table[kind] for kind in type(error).__mro__ if kind in table)


def said_by(error: BaseException) -> str:
    """Return the message of an exception; of the operating system's, what it means and where."""
    if isinstance(error, OSError) and type(error).__module__ == "builtins" and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return ": ".join((*names, error.strerror))
    return str(error)


@contextlib.contextmanager
def first_failure(*kinds: type[Exception]) -> Iterator[None]:
    """Raise the first of several failures in place of their group.

    A group that holds anything but these `kinds` is left as it is. (An ``except*`` clause would not
    do: what it raises is wrapped in another group by some versions of Python.)
    """
    try:
        yield
    except ExceptionGroup as group:
        if group.split(kinds)[1] is not None:
            raise
        raise _first_of(group) from None


def _first_of(group: ExceptionGroup[Exception]) -> Exception:
    error = group.exceptions[0]
    return _first_of(error) if isinstance(error, ExceptionGroup) else error
