"""What can go wrong, as exceptions.

::

    FastbookError
    ├── ConnectError            no connection can be had: nobody there, or refused
    │   └── Refused             the server said no to the connection, or to an HTTP request
    ├── ConnectionClosed        there is no connection any more, and there will be none
    │   └── TooSlow             … because the events were not read
    ├── NotConnected            the connection is being made anew; nothing was sent
    ├── Unanswered              it was sent, and the connection went before the answer
    └── Rejected                the server said no to a command
"""

from __future__ import annotations

from typing import Any


class FastbookError(Exception):
    """The base of all that this package raises of its own accord."""


class ConnectError(FastbookError):
    """There is no such server, or it does not answer as one."""


class Refused(ConnectError):
    """The server answered a request with an error; the message is its own.

    ``status`` is that of HTTP; ``code`` and ``parameter`` are the server's, if it named them.
    """

    def __init__(
        self, status: int, message: str, code: str | None = None, parameter: str | None = None
    ) -> None:
        super().__init__(f"refused with HTTP {status}: {message}")
        self.status = status
        self.code = code
        self.parameter = parameter


class ConnectionClosed(FastbookError):
    """The connection has ended for good; ``code`` is the close code, 1006 if there was none."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"connection closed with {code}{': ' + reason if reason else ''}")
        self.code = code
        self.reason = reason


class TooSlow(ConnectionClosed):
    """The events were not read, and no more are kept: the connection was given up."""

    def __init__(self, queue_max: int) -> None:
        reason = (
            f"{queue_max} events wait to be read, which is queue_max: iterate over the market, "
            "or connect with queue_max=0 to get no events"
        )
        super().__init__(1000, reason)


class NotConnected(FastbookError):
    """There is no connection right now; the command was not sent."""

    def __init__(self) -> None:
        super().__init__("not connected at the moment: nothing was sent (wait for Resynced)")


class Unanswered(FastbookError):
    """The connection went before the answer came: whether the command was done is not known.

    Nothing is ever sent again by itself. An order's outcome is told by
    ``await market.outcome(error.client_order_id)`` once ``Resynced`` has come; other commands can
    be given again.
    """

    def __init__(self, command: Any, client_order_id: str | None = None) -> None:
        how = (
            f"ask with market.outcome({client_order_id!r}) when the connection is back"
            if client_order_id is not None
            else "look at market.orders() when the connection is back"
        )
        name = type(command).__name__
        super().__init__(f"the connection went before {name} was answered: outcome unknown; {how}")
        self.command = command
        self.client_order_id = client_order_id


class Rejected(FastbookError):
    """The server refused a command; nothing has changed.

    ``code`` is one of ``fastbook_wire.words.Code``; ``retry_after_ms`` says when it makes
    sense to try again, if it does.
    """

    def __init__(self, code: str, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms
