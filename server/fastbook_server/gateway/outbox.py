"""What waits to be sent to one reader, as whole frames, so that it can be dropped between two.

All frames of one turn of the event loop leave in one write. A reader that does not keep up has only
a little written ahead: what transport and kernel hold cannot be taken back.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator

from fastbook_server.values.clock import Timers

WRITE_BYTES_MAX = 65_536
"""Bytes that the transport is given at a time, or one frame if that is larger."""

BURST_GRACE_S = 1.0
BURST_BYTES_PER_S = 1_048_576
"""At least how fast a burst must be read, from so long after it on."""


class _Later:
    """Frames that are built when they are sent, and about the size of those that are left."""

    __slots__ = ("_frames", "_size_left")

    def __init__(self, frames: Iterator[bytes], size: int) -> None:
        self._frames = frames
        self._size_left = size

    def take(self) -> tuple[bytes | None, int]:
        """Return the next frame, None after the last, and by how much the size has shrunk."""
        frame = next(self._frames, None)
        freed = self._size_left if frame is None else min(len(frame), self._size_left)
        self._size_left -= freed
        return frame, freed


class Turn:
    """The outboxes that send what they were given, once, at the end of this turn of the loop."""

    def __init__(self) -> None:
        self._ready: list[Outbox] = []

    def add(self, outbox: Outbox) -> None:
        """Let `outbox` send at the end of this turn, after those that were added before."""
        if not self._ready:
            asyncio.get_running_loop().call_soon(self._end)
        self._ready.append(outbox)

    def _end(self) -> None:
        ready, self._ready = self._ready, []
        sent = 0
        try:
            for outbox in ready:
                sent += 1
                outbox.flush()
        finally:
            for outbox in ready[sent:]:  # one has failed, and these know nothing of it
                self.add(outbox)


def _nothing() -> None:
    """Do nothing."""


class Outbox:
    """The frames of one reader that its transport has not been given yet.

    `drained` waits until the transport has sent most of what it holds. `on_overflow` is called, in
    place of a write, when more than `bytes_max` bytes are left unsent. A burst, all that is put in
    during one turn, counts fully only when there was time to read it.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        drained: Callable[[], Awaitable[None]],
        timers: Timers,
        *,
        turn: Turn,
        bytes_max: int,
        on_overflow: Callable[[], None],
    ) -> None:
        self._transport = transport
        # Looked up once: each is called with every write.
        self._write = transport.write
        self._is_closing = transport.is_closing
        self._buffer_size = transport.get_write_buffer_size
        self._drained = drained
        self._timers = timers
        self._bytes_max = bytes_max
        self._on_overflow = on_overflow
        self._turn = turn
        self._fresh: list[bytes] = []  # of this turn
        self._held: deque[bytes | _Later] = deque()  # of earlier turns
        self._held_bytes = 0
        self._awaits_end = False  # of the turn
        self._pump: asyncio.Task[None] | None = None
        self._burst_bytes = 0
        self._burst_s = 0.0

    @property
    def backlog_bytes(self) -> int:
        """How much earlier turns of the loop have left unsent."""
        return self._transport.get_write_buffer_size() + self._held_bytes

    @property
    def unsent_bytes(self) -> int:
        """How much is unsent, with what this turn has put in."""
        return self.backlog_bytes + sum(map(len, self._fresh))

    def put(self, frame: bytes) -> None:
        """Queue a frame; it leaves at the end of this turn, unless the reader is behind."""
        self._fresh.append(frame)
        if not self._awaits_end:
            self._awaits_end = True
            self._turn.add(self)

    def put_later(self, frames: Iterator[bytes], size: int) -> None:
        """Queue frames that are built one by one as the reader takes them.

        They are a burst of about `size` bytes; whoever asked for them may take the time to read.
        """
        self._burst_bytes, self._burst_s = size + int(self._burst_left()), self._timers.time()
        self._hold()
        self._held.append(_Later(frames, size))
        self._held_bytes += size

    def put_last(self, frame: bytes, *, at_once: bool) -> None:
        """Send `frame` after all others; if `at_once`, drop those that wait for the reader."""
        if at_once and self._held:
            self.drop()
        self._fresh.append(frame)
        if at_once or not self.backlog_bytes:
            self._transport.write(b"".join(self._fresh))
            self._fresh.clear()
        else:
            self._hold()

    async def emptied(self) -> None:
        """Wait until the transport has been given what waits for the reader."""
        if self._pump is not None:
            await asyncio.wait((self._pump,))

    def drop(self) -> None:
        """Forget what the transport has not been given; it was given whole frames."""
        self._fresh.clear()
        self._held.clear()
        self._held_bytes = 0

    def stop(self) -> None:
        """Send nothing more, and let go of its owner: the connection has ended."""
        self.drop()
        self._on_overflow = _nothing
        if self._pump is not None:
            self._pump.cancel()

    def flush(self) -> None:
        """Send what this turn has put in, or keep it for a reader that is behind."""
        self._awaits_end = False
        if not self._fresh:
            return
        backlog = self._buffer_size() + self._held_bytes
        if backlog > self._bytes_max:
            if backlog > self._bytes_max + self._burst_left():
                self._on_overflow()
            else:
                self._hold()
            return
        data = self._fresh[0] if len(self._fresh) == 1 else b"".join(self._fresh)
        self._burst_bytes = len(data)
        if self._is_closing():
            self.drop()
        elif backlog + len(data) <= WRITE_BYTES_MAX and not self._held:
            self._write(data)
            self._fresh.clear()
        else:
            self._burst_s = self._timers.time()
            self._hold()

    def _burst_left(self) -> float:
        """Return how much of the last burst there was no time to read."""
        late_s = max(self._timers.time() - self._burst_s - BURST_GRACE_S, 0.0)
        return max(self._burst_bytes - late_s * BURST_BYTES_PER_S, 0.0)

    def _hold(self) -> None:
        self._held.extend(self._fresh)
        self._held_bytes += sum(map(len, self._fresh))
        self._fresh.clear()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._send_held())

    async def _send_held(self) -> None:
        try:
            while True:
                await self._drained()
                if not self._held or self._transport.is_closing():
                    break
                self._transport.write(b"".join(self._next_frames()))
                await asyncio.sleep(0)
        except ConnectionError:
            pass  # whoever reads from the connection sees its end, too
        self._held.clear()
        self._held_bytes = 0

    def _next_frames(self) -> list[bytes]:
        frames: list[bytes] = []
        size = 0
        while self._held and size < WRITE_BYTES_MAX:
            first = self._held.popleft()
            frame, freed = (first, len(first)) if isinstance(first, bytes) else first.take()
            self._held_bytes -= freed
            if frame is None:
                continue
            if frame is not first:
                self._held.appendleft(first)
            frames.append(frame)
            size += len(frame)
        return frames
