"""The servers of one market, as the gateways of a cluster are: which is tried next, and when."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from fastbook_client.backoff import Backoff
from fastbook_client.connection import Connection, dial
from fastbook_client.endpoint import Endpoint
from fastbook_client.errors import ConnectError, ConnectionClosed, FastbookError, Refused, TooSlow

GOING_AWAY = 1001
RESUMED_ELSEWHERE = 4001
LIVED_S = 1.0
"""A connection that lasted this long ends a series of failures."""


class Lost(NamedTuple):
    """What a failure comes to: `why`, in words, and the delay before the next attempt.

    Without a delay (None) no attempt follows, and `error` is how it ends.
    """

    error: FastbookError
    why: str
    delay_s: float | None


class Servers:
    """The servers that one client goes round; `current` is in use, or the next to be tried.

    The way round is drawn once per client, so that many clients with one list spread over it, and
    those of a server that dies over the others. While none has been reached, each is tried once;
    `reconnect` then says how often one goes round, or not at all (None).
    """

    def __init__(self, endpoints: Sequence[Endpoint], reconnect: Backoff | None) -> None:
        self._way = random.sample(endpoints, len(endpoints))
        self._at = 0
        self._reconnect = reconnect
        self._was_reached = False
        self._failures = 0
        self._errors: dict[Endpoint, FastbookError] = {}  # of this round

    @property
    def current(self) -> Endpoint:
        """The server to connect to."""
        return self._way[self._at]

    def failed(self, error: FastbookError, lived_s: float | None = None) -> Lost:
        """Move on after a connection that lived for `lived_s`; None: it was never open.

        The next one is tried at once if this one could not be reached or is going away, and has not
        been tried yet in this round.
        """
        if lived_s is not None:
            self._was_reached = True
            if lived_s >= LIVED_S:
                self._failures = 0
                self._errors = {}
        self._errors[self.current] = error
        self._at = (self._at + 1) % len(self._way)
        errors = self._errors
        is_round = len(errors) == len(self._way)
        if is_round:
            self._errors = {}
        delay_s = self._delay_s(error, errors.values(), is_open=lived_s is not None)
        return Lost(_together(errors) if lived_s is None else error, self._why(errors), delay_s)

    def _delay_s(
        self, error: FastbookError, errors: Collection[FastbookError], *, is_open: bool
    ) -> float | None:
        if isinstance(error, TooSlow) or _code(error) == RESUMED_ELSEWHERE:
            return None  # otherwise two programs would keep resuming the user from each other
        backoff = self._reconnect
        if self._was_reached and (backoff is None or backoff.attempts_max == 0):
            return None
        if len(errors) < len(self._way):
            if not is_open or _code(error) == GOING_AWAY:
                return 0.0
        elif not self._was_reached or all(map(_is_final, errors)):
            return None
        assert backoff is not None, "the first round is done at once"
        self._failures += 1
        return backoff.delay_s(self._failures)

    def _why(self, errors: Mapping[Endpoint, FastbookError]) -> str:
        return _listed(errors) if len(self._way) > 1 else str(*errors.values())


@contextlib.asynccontextmanager
async def dial_any(
    url: str | Sequence[str], **options: Any
) -> AsyncIterator[tuple[Connection, Endpoint]]:
    """Connect to the first of several servers that lets one in; yields which one it was, too.

    Options are those of `fastbook_client.connection.dial`, which tells what it raises.
    """
    servers = Servers(Endpoint.parse_all(url), None)
    async with contextlib.AsyncExitStack() as stack:
        while True:
            endpoint = servers.current
            try:
                connection = await stack.enter_async_context(dial(endpoint.ws, **options))
                break
            except (ConnectError, ConnectionClosed) as error:
                lost = servers.failed(error)
                if lost.delay_s is None:
                    raise lost.error from None
        yield connection, endpoint


def _code(error: FastbookError) -> int | None:
    return error.code if isinstance(error, ConnectionClosed) else None


def _is_final(error: FastbookError) -> bool:
    """Return whether asking the same server again would be pointless."""
    return isinstance(error, Refused) and 400 <= error.status < 500 and error.status != 429


def _together(errors: Mapping[Endpoint, FastbookError]) -> FastbookError:
    """Return the one error that says what became of each server."""
    first, *others = errors.values()
    if not others:
        return first
    said = f"none of {len(errors)} servers can be reached: {_listed(errors)}"
    if isinstance(first, Refused) and all(isinstance(error, Refused) for error in others):
        return Refused(first.status, said, first.code, first.parameter)
    return ConnectError(said)


def _listed(errors: Mapping[Endpoint, FastbookError]) -> str:
    return "; ".join(f"{endpoint.http}: {error}" for endpoint, error in errors.items())
