"""The line on core NATS."""

from __future__ import annotations

from collections.abc import Callable

from nats.aio.msg import Msg

from fastbook_server.cluster.nats.connection import NatsConnection


class NatsLine:
    """An `OrderLine` over a connection."""

    def __init__(self, connection: NatsConnection) -> None:
        self._connection = connection

    def send(self, subject: str, data: bytes) -> None:
        """See `OrderLine.send`."""
        self._connection.send(subject, data)

    async def listen(self, subject: str, take: Callable[[bytes], None]) -> None:
        """See `OrderLine.listen`."""

        def taken(message: Msg) -> None:
            take(message.data)

        await self._connection.listen(subject, taken)
