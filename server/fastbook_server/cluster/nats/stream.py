"""The log on NATS JetStream: one stream for each shard."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, NamedTuple, TypeVar

import msgspec
from nats.aio.msg import Msg

from fastbook_server.cluster.log import LogBroken, LogEntry, LogMoved, LogUnavailable
from fastbook_server.cluster.nats.connection import PAUSE_S, NatsConnection

SILENCE_S = 3.0
"""A reader who has heard nothing for so long, not even a heartbeat, asks anew."""
HEARTBEAT_S = 1.0
LOST_AFTER_S = 30.0
"""A log that has ended before what was read from it for so long has lost it."""
STAMP = "Fb-Id"
WRONG_LAST, NAME_IN_USE, NO_MESSAGE, NO_STREAM = 10071, 10058, 10037, 10059
FLOW_CONTROL = "FlowControl Request"

T = TypeVar("T")

log = logging.getLogger(__name__)


class _Refusal(msgspec.Struct):
    description: str = ""
    err_code: int = 0


class _Stored(msgspec.Struct):
    seq: int
    hdrs: bytes = b""
    data: bytes = b""


class _State(msgspec.Struct):
    first_seq: int
    last_seq: int
    bytes: int = 0


class _Config(msgspec.Struct):
    max_bytes: int = 0


class _Peer(msgspec.Struct):
    name: str
    current: bool = False
    offline: bool = False
    lag: int = 0


class _Cluster(msgspec.Struct):
    leader: str = ""
    replicas: list[_Peer] = []


class _Answer(msgspec.Struct):
    """What JetStream answers to all that is asked here."""

    error: _Refusal | None = None
    seq: int | None = None
    message: _Stored | None = None
    state: _State | None = None
    config: _Config | None = None
    cluster: _Cluster | None = None

    def of(self, part: T | None) -> T:
        """Return `part` of it.

        Raises:
            LogUnavailable: it is not there, because the question was refused.
        """
        if part is None:
            raise _refused(self.error or _Refusal("not what was asked for"))
        return part


_answer_of = msgspec.json.Decoder(_Answer).decode
_json = msgspec.json.Encoder().encode


class LogReplica(NamedTuple):
    """A server that keeps a log; `lag` counts the messages that it does not have yet."""

    server: str
    leads: bool
    is_current: bool
    lag: int


class LogHealth(NamedTuple):
    """How far a log goes, how full it is, and who keeps it: all servers, by name."""

    first: int
    last: int
    bytes: int
    bytes_max: int
    replicas: tuple[LogReplica, ...]


class NatsLog:
    """The stream ``FASTBOOK_<shard>``: a `ReplicatedLog`. ``stream`` is its name."""

    def __init__(self, connection: NatsConnection, shard: str) -> None:
        self._connection = connection
        self.stream = f"FASTBOOK_{shard}"
        self._subject = f"fastbook.{shard}.log"
        self._is_closed = False

    async def create_stream(
        self,
        *,
        first_sequence: int = 1,
        replicas: int = 3,
        bytes_max: int = 8 * 2**30,
    ) -> None:
        """Create the stream, to begin with the number `first_sequence`, unless it is there.

        Raises:
            LogUnavailable: the servers do not answer, or cannot do that now; why is its text.
        """
        config = {
            "name": self.stream,
            "subjects": [self._subject],
            "storage": "file",
            "num_replicas": replicas,
            "retention": "limits",
            "discard": "new",
            "max_bytes": bytes_max,
            "max_msgs": -1,
            "max_age": 0,
            "deny_delete": True,
            "allow_direct": False,
            "first_seq": first_sequence,
        }
        answer = await self._ask("STREAM.CREATE", config)
        if answer.error is not None and answer.error.err_code != NAME_IN_USE:
            raise _refused(answer.error)

    async def exists(self) -> bool:
        """Return whether the stream is there.

        Raises:
            LogUnavailable: the servers do not answer.
        """
        answer = await self._ask("STREAM.INFO", {})
        if answer.error is not None and answer.error.err_code == NO_STREAM:
            return False
        answer.of(answer.state)
        return True

    async def append(self, data: bytes, stamp: str, *, after: int) -> None:
        """See `ReplicatedLog.append`."""
        headers = {"Nats-Expected-Last-Sequence": str(after), STAMP: stamp}
        self._check_open()
        answer = _decoded(await self._connection.request(self._subject, data, headers))
        if answer.error is None:
            if answer.seq != after + 1:
                raise LogUnavailable(f"expected the answer {after + 1}, got {answer.seq}")
        elif answer.error.err_code == WRONG_LAST:
            await self._check_last(stamp, after)
        else:
            raise _refused(answer.error)

    async def last(self) -> LogEntry | None:
        """See `ReplicatedLog.last`."""
        answer = await self._ask("STREAM.MSG.GET", {"last_by_subj": self._subject})
        if answer.error is not None and answer.error.err_code == NO_MESSAGE:
            return None
        message = answer.of(answer.message)
        return LogEntry(message.seq, _stamp(message.hdrs), message.data)

    async def end(self) -> int:
        """See `ReplicatedLog.end`."""
        return (await self.bounds()).last_seq

    async def follow(self, after: int) -> AsyncIterator[LogEntry]:
        """See `ReplicatedLog.follow`."""
        follower = _Follower(self._connection, self, after)
        while True:
            async with contextlib.aclosing(follower.consume()) as entries:
                async for entry in entries:
                    yield entry
            await asyncio.sleep(PAUSE_S)

    async def purge(self, before: int) -> None:
        """See `ReplicatedLog.purge`."""
        keep_from = min(before, await self.end())
        if keep_from > 1:
            answer = await self._ask("STREAM.PURGE", {"seq": keep_from})
            if answer.error is not None:
                raise _refused(answer.error)

    async def health(self) -> LogHealth:
        """Return what the servers say about the log.

        Raises:
            LogUnavailable: the log does not answer.
        """
        answer = await self._ask("STREAM.INFO", {})
        state, config = answer.of(answer.state), answer.of(answer.config)
        cluster = answer.cluster or _Cluster()
        replicas = [LogReplica(cluster.leader, leads=True, is_current=True, lag=0)]
        for peer in cluster.replicas:
            is_current = peer.current and not peer.offline
            replicas.append(LogReplica(peer.name, leads=False, is_current=is_current, lag=peer.lag))
        return LogHealth(
            state.first_seq, state.last_seq, state.bytes, config.max_bytes, tuple(sorted(replicas))
        )

    async def close(self) -> None:
        """Fail all calls from now on; the connection is closed by whoever has opened it."""
        self._is_closed = True

    # ---- for followers ------------------------------------------------------------------------

    async def bounds(self) -> _State:
        """Return the numbers of the first and the last message; an empty log ends before it begins.

        Raises:
            LogUnavailable: the log does not answer, or only a server of it that no other follows
                does: what it has may be old.
        """
        answer = await self._ask("STREAM.INFO", {})
        if answer.cluster is not None and not answer.cluster.leader:
            raise LogUnavailable("no server leads the log: too few of them are there")
        return answer.of(answer.state)

    async def create_consumer(self, inbox: str, after: int) -> None:
        """Have all messages above `after`, and signs of life, sent to `inbox`.

        Raises:
            LogUnavailable: the log does not answer.
        """
        config = {
            "deliver_subject": inbox,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": after + 1,
            "ack_policy": "none",
            "replay_policy": "instant",
            "flow_control": True,
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
            "mem_storage": True,
            "num_replicas": 1,
        }
        body = {"stream_name": self.stream, "config": config}
        answer = await self._ask("CONSUMER.CREATE", body)
        if answer.error is not None:
            raise _refused(answer.error)

    # ---- questions ----------------------------------------------------------------------------

    async def _ask(self, question: str, body: dict[str, Any]) -> _Answer:
        self._check_open()
        subject = f"$JS.API.{question}.{self.stream}"
        return _decoded(await self._connection.request(subject, _json(body)))

    async def _check_last(self, stamp: str, after: int) -> None:
        """Return if the message is in after all; it was not appended where it was to be.

        Raises:
            LogMoved: another message is in its place.
            LogUnavailable: nothing is there yet. What was sent before may be on its way, two first
                claims may have met, or the server that answered is behind the others.
        """
        last = await self.last()
        if last is None or last.number <= after:
            raise LogUnavailable(f"the log does not end at {after} yet")
        if last.number != after + 1 or last.stamp != stamp:
            raise LogMoved(f"expected the log to end at {after}, got {last.number}")

    def _check_open(self) -> None:
        if self._is_closed:
            raise LogUnavailable("the log is closed")


class _Follower:
    """Reads a log by one consumer after the other, each from where the one before has ended."""

    def __init__(self, connection: NatsConnection, of: NatsLog, after: int) -> None:
        self._connection = connection
        self._log = of
        self._after = after
        self._short_since: float | None = None  # since when the log has ended before `after`

    async def consume(self) -> AsyncGenerator[LogEntry]:
        """Yield what a new consumer sends, until it is silent, or has left something out."""
        queue: asyncio.Queue[Msg | None] = asyncio.Queue()
        inbox = self._connection.new_inbox()
        subscription = None
        try:
            subscription = await self._connection.subscribe(inbox, queue.put_nowait)
            self._check(await self._log.bounds())
            await self._log.create_consumer(inbox, self._after)
            # What came while the connection was lost is lost, and perhaps the consumer with it.
            with self._connection.on_return(lambda: queue.put_nowait(None)):
                while (message := await _next(queue)) is not None:
                    if message.headers is not None and "Status" in message.headers:
                        self._heed(message, message.headers)
                    elif (number := _number(message)) > self._after:
                        if number != self._after + 1:
                            return
                        self._after = number
                        stamp = (message.headers or {}).get(STAMP, "")
                        yield LogEntry(number, stamp, message.data)
        except LogUnavailable as error:
            log.debug("the log's follower at %d: %s", self._after, error)
        finally:
            if subscription is not None:
                await self._connection.unsubscribe(subscription)

    def _check(self, bounds: _State) -> None:
        """Raise LogBroken if the log has lost what comes next, or what has come."""
        if bounds.first_seq > self._after + 1:
            raise LogBroken(f"the log begins at {bounds.first_seq}, after {self._after + 1}")
        if bounds.last_seq >= self._after:
            self._short_since = None
            return
        now = asyncio.get_running_loop().time()
        self._short_since = self._short_since or now
        if now - self._short_since > LOST_AFTER_S:
            raise LogBroken(f"the log ends at {bounds.last_seq}, and has had {self._after}")
        # A server that has just come back may be behind the others.
        raise LogUnavailable(f"the log ends at {bounds.last_seq} for now")

    def _heed(self, message: Msg, headers: dict[str, str]) -> None:
        """Answer what the consumer asks, now that all before it has been read.

        Raises:
            LogUnavailable: something that it has sent did not come.
        """
        if headers.get("Description") == FLOW_CONTROL:
            self._connection.send(message.reply)
            return
        stalled = headers.get("Nats-Consumer-Stalled")
        if stalled is not None:
            self._connection.send(stalled)
        if int(headers.get("Nats-Last-Stream", 0)) > self._after:
            raise LogUnavailable("messages are missing")


async def _next(queue: asyncio.Queue[T]) -> T:
    """Return what comes next.

    Raises:
        LogUnavailable: nothing has come for too long.
    """
    if not queue.empty():
        return queue.get_nowait()
    try:
        async with asyncio.timeout(SILENCE_S):
            return await queue.get()
    except TimeoutError:
        raise LogUnavailable("the consumer is silent") from None


def _number(message: Msg) -> int:
    """Return the number of a message: where it could be acknowledged tells it."""
    parts = message.reply.split(".")  # $JS.ACK.stream.consumer.…, or with a domain and an account
    return int(parts[5] if len(parts) == 9 else parts[7])


def _stamp(headers: bytes) -> str:
    """Return our stamp among a stored message's headers, or nothing."""
    for line in headers.decode().split("\r\n"):
        key, _, value = line.partition(":")
        if key == STAMP:
            return value.strip()
    return ""


def _decoded(answer: bytes) -> _Answer:
    try:
        return _answer_of(answer)
    except msgspec.DecodeError as error:
        raise LogUnavailable(f"no answer of JetStream: {error}") from None


def _refused(refusal: _Refusal) -> LogUnavailable:
    return LogUnavailable(f"{refusal.description} ({refusal.err_code})")
