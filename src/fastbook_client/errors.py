"""The exceptions of the client library.

::

    FastbookError
    ├── ConnectError            the server cannot be reached
    │   └── Refused             the server refused the connection or an HTTP request
    ├── ConnectionClosed        the connection has ended for good
    │   └── TooSlow             … because the program did not read its events
    ├── NotConnected            the client is reconnecting; the command was not sent
    ├── Unanswered              the command was sent, but the connection was lost before the reply
    └── Rejected                the server refused the command
"""

from __future__ import annotations

from typing import Any


class FastbookError(Exception):
    """Base of every exception that is particular to this package."""


class ConnectError(FastbookError):
    """The server cannot be reached, or does not answer like a fastbook server."""


class Refused(ConnectError):
    """The server answered an HTTP request with an error, whose message this carries.

    ``status`` is the HTTP status; ``code`` and ``parameter`` are the server's, None if absent.
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
    """The connection was closed because ``queue_max`` events were waiting unread."""

    def __init__(self, queue_max: int) -> None:
        reason = (
            f"{queue_max} events are unread, the limit of queue_max: iterate over the market, "
            "or connect with queue_max=0 to receive no events"
        )
        super().__init__(1000, reason)


class NotConnected(FastbookError):
    """The client is reconnecting; the command was not sent."""

    def __init__(self) -> None:
        super().__init__("not connected: the command was not sent (wait for Resynced)")


class Unanswered(FastbookError):
    """The connection was lost before the reply: the command may or may not have been executed.

    No command is ever resent automatically. Once ``Resynced`` has arrived,
    ``await market.outcome(error.client_order_id)`` returns the state of the order; every other
    command is safe to repeat. ``client_order_id`` is None unless the command was an order.
    """

    def __init__(self, command: Any, client_order_id: str | None = None) -> None:
        how = (
            f"after reconnecting, call market.outcome({client_order_id!r})"
            if client_order_id is not None
            else "it is safe to repeat after reconnecting"
        )
        name = type(command).__name__
        super().__init__(f"connection lost before the reply to {name}: outcome unknown; {how}")
        self.command = command
        self.client_order_id = client_order_id


class Rejected(FastbookError):
    """The server refused a command, which had no effect.

    ``code`` is one of `fastbook_wire.words.Code`. ``retry_after_ms`` is the time to wait before
    another attempt, None if waiting alone does not help.
    """

    def __init__(self, code: str, message: str, retry_after_ms: int | None = None) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms
