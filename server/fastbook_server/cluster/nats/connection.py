"""A connection to NATS that comes back by itself, whatever ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from fastbook_server.cluster.log import LogUnavailable

ANSWER_S = 1.5
"""How long a server may take to answer."""
REOPEN_S = 10.0
OUTBOX_MAX = 4_096
"""Messages that may wait to be sent; of more, the oldest are lost."""
PAUSE_S = 0.25
"""Between two attempts to reach a server."""

log = logging.getLogger(__name__)


def tls_context(
    authorities: Path, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Return what trusts servers of these `authorities`, and proves who we are.

    Raises:
        OSError, ssl.SSLError: a file cannot be read, or is not what it should be.
    """
    context = ssl.create_default_context(cafile=authorities)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


class NatsConnection:
    """A connection to any of several NATS servers, for the logs of all shards and for the line."""

    def __init__(self, urls: Sequence[str], options: dict[str, Any]) -> None:
        """Use `connect` instead."""
        self._urls = list(urls)
        self._options = options
        self._client = Client()
        self._listeners: list[tuple[str, Callable[[Msg], None]]] = []
        self._returns: set[Callable[[], None]] = set()
        self._outbox: deque[tuple[str, bytes]] = deque(maxlen=OUTBOX_MAX)
        self._has_mail = asyncio.Event()
        self._sends: asyncio.Task[None] | None = None
        self._reopens: asyncio.Task[None] | None = None
        self._is_closed = False

    @classmethod
    async def connect(
        cls,
        urls: Sequence[str],
        *,
        name: str,
        user: str | None = None,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = 10.0,
    ) -> NatsConnection:
        """Return a connection to one of `urls`; `name` is how NATS's own reports call it.

        Raises:
            LogUnavailable: none of them lets us in within `timeout_s`.
        """
        connection = cls(urls, {"name": name, "user": user, "password": password, "tls": tls})
        try:
            await connection._open_within(timeout_s)
        except (NatsError, OSError) as error:  # a timeout is an OSError
            raise LogUnavailable(f"{', '.join(urls)}: {why(error)}") from None
        connection._sends = asyncio.create_task(connection._send_all())
        return connection

    @property
    def is_connected(self) -> bool:
        """Whether a server hears us, as far as we know: a dead one is noticed after 6 s."""
        return self._client.is_connected

    async def request(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None
    ) -> bytes:
        """Return the answer of whoever answers.

        Raises:
            LogUnavailable: nobody does.
        """
        self._check_connected()
        try:
            reply = await self._client.request(subject, body, ANSWER_S, headers=headers)
        except (NatsError, OSError) as error:
            raise LogUnavailable(why(error)) from None
        return reply.data

    def send(self, subject: str, data: bytes = b"") -> None:
        """Send a message in one of the next turns of the loop, if we are connected then."""
        self._outbox.append((subject, data))
        self._has_mail.set()

    async def listen(self, subject: str, take: Callable[[Msg], None]) -> None:
        """Call `take` with what comes to `subject` once this has returned, as long as this lives.

        Raises:
            LogUnavailable: nobody answers.
        """
        await self.subscribe(subject, take)
        self._listeners.append((subject, take))

    async def subscribe(self, subject: str, take: Callable[[Msg], None]) -> Subscription:
        """Like `listen`, until `unsubscribe` or until nats-py has given up this connection.

        Raises:
            LogUnavailable: nobody answers.
        """

        async def taken(message: Msg) -> None:  # nats-py accepts nothing but coroutines
            take(message)

        self._check_connected()
        subscription = None
        try:
            async with asyncio.timeout(ANSWER_S):
                subscription = await self._client.subscribe(subject, cb=taken)
                await self._client.flush()
        except (NatsError, OSError) as error:
            if subscription is not None:
                await self.unsubscribe(subscription)
            raise LogUnavailable(why(error)) from None
        return subscription

    async def unsubscribe(self, subscription: Subscription) -> None:
        """Hear no more of it."""
        with contextlib.suppress(NatsError, OSError):  # a lost connection has forgotten it anyway
            await subscription.unsubscribe()

    @contextlib.contextmanager
    def on_return(self, act: Callable[[], None]) -> Iterator[None]:
        """Call `act` when the connection has been lost and is back, until the block ends."""
        self._returns.add(act)
        try:
            yield
        finally:
            self._returns.discard(act)

    def new_inbox(self) -> str:
        """Return a subject of our own."""
        return self._client.new_inbox()

    async def close(self) -> None:
        """Close it; what is asked of it afterwards fails."""
        self._is_closed = True
        for task in (self._sends, self._reopens):
            if task is not None:
                task.cancel()
        await self._client.close()

    # ---- its life -----------------------------------------------------------------------------

    async def _open_within(self, timeout_s: float) -> None:
        """Open it; nats-py tries for ever, and loses a cancellation that comes with an answer.

        Raises:
            NatsError, OSError: it cannot be opened, or not in time.
        """
        opening = asyncio.ensure_future(self._open())
        try:
            await asyncio.wait((opening,), timeout=timeout_s)
        finally:
            while not opening.done():
                opening.cancel()
                await asyncio.wait((opening,), timeout=PAUSE_S)
        if opening.cancelled():
            raise TimeoutError
        opening.result()

    async def _open(self) -> None:
        client = Client()

        async def closed() -> None:
            """Open it again: nats-py gives up for ever at some of the servers' complaints."""
            reopening = self._reopens is not None and not self._reopens.done()
            if client is self._client and not self._is_closed and not reopening:
                self._reopens = asyncio.create_task(self._reopen())

        try:
            await client.connect(
                self._urls,
                **self._options,
                connect_timeout=2,
                # nats-py says int, and sleeps so long.
                reconnect_time_wait=PAUSE_S,  # type: ignore[arg-type]
                max_reconnect_attempts=-1,
                ping_interval=2,  # or a dead server is noticed after minutes
                max_outstanding_pings=2,
                error_cb=_complain,
                disconnected_cb=self._disconnected,
                reconnected_cb=self._returned,
                closed_cb=closed,
            )
        except BaseException:
            await client.close()
            raise
        self._client = client

    def _check_connected(self) -> None:
        """Raise unless we are: nats-py would keep what it is given, and send it too late."""
        if not self.is_connected:
            raise LogUnavailable("not connected to NATS")

    async def _send_all(self) -> None:
        while True:
            await self._has_mail.wait()
            while self._outbox:
                message = self._outbox.popleft()
                if self.is_connected:
                    with contextlib.suppress(NatsError, OSError):
                        await self._client.publish(*message)
            self._has_mail.clear()

    async def _disconnected(self) -> None:
        if not self._is_closed:
            log.warning("the connection to NATS is lost; trying again")

    async def _returned(self) -> None:
        log.info("connected to NATS again")
        for act in tuple(self._returns):
            act()

    async def _reopen(self) -> None:
        while self._client.is_closed:
            await asyncio.sleep(PAUSE_S)
            try:
                await self._open_within(REOPEN_S)
                for subject, take in self._listeners:
                    await self.subscribe(subject, take)
            except (NatsError, OSError, LogUnavailable) as error:
                log.debug("nats: %s", why(error))
                await self._client.close()
        await self._returned()


async def _complain(error: Exception) -> None:  # or nats-py prints a traceback for each
    log.debug("nats: %s", why(error))


def why(error: BaseException) -> str:
    """Return an error's text, or at least its kind."""
    return str(error) or type(error).__name__
