"""The channel ``depth``: the whole book once, then each change, and a checksum each second."""

from __future__ import annotations

from fastbook_server.gateway import encode, websocket_frames
from fastbook_server.gateway.feeds.audience import Audience, Reader
from fastbook_server.gateway.feeds.feed import Pace
from fastbook_server.gateway.market_views import ASK, BID, SecurityView
from fastbook_server.values import clock
from fastbook_wire.checksum import CHECKSUM_LEVELS, checksum

CHECKSUM_S = 1.0


class DepthFeed:
    """One security's book, level by level.

    A joiner gets the last snapshot and the frames since, the same bytes as everyone. A new snapshot
    is built once those frames have outgrown it, so snapshots never cost more than the changes do,
    however often clients join.
    """

    def __init__(self, view: SecurityView, pace: Pace) -> None:
        self._view = view
        self._timers = pace.timers
        self._audience = Audience(pace.timers, pace.interval_s)
        self._snapshot: bytes | None = None
        self._since: list[bytes] = []  # the frames after it
        self._since_bytes = 0
        self._seq = 0  # of the last depth frame
        self._checksum = (-1, b"")  # its seq, its frame
        self._timer: clock.Cancellable | None = None

    async def opening(self) -> None:
        """Return None: ``join`` needs nothing that takes time."""

    def join(self, reader: Reader, opening: object = None) -> None:
        """Send a snapshot and each change since, then every later change."""
        del opening
        if self._snapshot is None:
            self._snapshot = self._build()
        reader.send(self._snapshot)
        for frame in self._since:
            reader.send(frame)
        self._audience.join(reader)
        if self._timer is None:
            self._timer = self._timers.call_later(CHECKSUM_S, self._check)

    def leave(self, reader: Reader) -> None:
        """Stop sending to `reader`."""
        self._audience.leave(reader)
        if not self._audience:
            self._stop_checks()

    def _build(self) -> bytes:
        view = self._view
        if not view.records_changes:  # the first of a chain
            view.record_changes(True)
            self._seq = view.seq
        sides = (view.depth.top(ASK), view.depth.top(BID))
        return websocket_frames.text(
            encode.depth(view.instrument, self._seq, None, view.time_ms, *sides)
        )

    def book_changed(self) -> bool:
        """Send the levels that a batch has changed, as long as there are readers or a snapshot."""
        view = self._view
        asks, bids = view.take_changes()
        if asks or bids:  # else every level has its old quantity again
            frame = websocket_frames.text(
                encode.depth(view.instrument, view.seq, self._seq, view.time_ms, asks, bids)
            )
            self._seq = view.seq
            self._audience.tell(frame)
            self._keep(frame)
        if self._audience or self._snapshot is not None:
            return True
        view.record_changes(False)
        return False

    def _keep(self, frame: bytes) -> None:
        if self._snapshot is None:
            return
        self._since.append(frame)
        self._since_bytes += len(frame)
        if self._since_bytes > len(self._snapshot):
            self._forget()

    def _forget(self) -> None:
        self._snapshot = None
        self._since.clear()
        self._since_bytes = 0

    def _check(self) -> None:
        self._timer = self._timers.call_later(CHECKSUM_S, self._check)
        if self._checksum[0] != self._seq:
            depth, security = self._view.depth, self._view.instrument.security
            value = checksum(depth.top(ASK, CHECKSUM_LEVELS), depth.top(BID, CHECKSUM_LEVELS))
            self._checksum = (
                self._seq,
                websocket_frames.text(encode.checksum(security, self._seq, value)),
            )
        self._audience.tell(self._checksum[1])

    def _stop_checks(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def time_passed(self) -> None:
        """Do nothing: only batches change this channel."""

    def stop(self) -> None:
        """Stop sending."""
        self._audience.stop()
        self._stop_checks()
        self._forget()
        self._view.record_changes(False)
