"""The public trades of one security, each exactly once and in order, across reconnects.

A tape remembers the last trade it emitted, and each frame of the server continues it by
``prevSeq``. If one does not, the tape has the missing trades fetched and holds back later frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastbook_client.errors import TooSlow
from fastbook_client.events import TradesMissed
from fastbook_wire.frames import Trades, TradeView

TRADES_PER_FRAME = 1_000


class Tape:
    """Turns the ``trades`` frames of one security into a gapless sequence for `emit`.

    `fetch` is called with the two ``seq`` (exclusive) that enclose a gap. Its trades must be passed
    to `filled`, unless the connection is lost first. Until then up to `held_max` frames are held.
    """

    def __init__(
        self,
        security: str,
        emit: Callable[[Trades | TradesMissed], None],
        fetch: Callable[[int | None, int], None],
        held_max: int,
    ) -> None:
        self._security = security
        self._emit = emit
        self._fetch = fetch
        self._held_max = held_max
        self._held: list[Trades] | None = None  # while the trades before them are fetched
        self._last: TradeView | None = None
        self._started = False
        self._opens = True

    @property
    def last_seq(self) -> int | None:
        """The ``seq`` of the last trade emitted; None if there is none."""
        return None if self._last is None else self._last.seq

    def reopen(self) -> None:
        """Expect an opening frame, after a subscription or on a new connection."""
        self._held = None
        self._opens = True

    def handle(self, frame: Trades) -> None:
        """Emit the new trades of a frame, or hold it back while a gap is being filled.

        Raises:
            TooSlow: `held_max` frames are held back already.
        """
        if self._held is None:
            self._process(frame)
        elif len(self._held) < self._held_max:
            self._held.append(frame)
        else:
            raise TooSlow(self._held_max)

    def filled(self, trades: Sequence[TradeView], before_seq: int, missing: str | None) -> None:
        """Emit fetched trades, then the held frames; `missing` is why older trades are missing."""
        held, self._held = self._held or [], None
        if missing is not None:
            first = trades[0].seq if trades else before_seq
            self._emit(TradesMissed(self._security, self.last_seq, first, missing))
        for start in range(0, len(trades), TRADES_PER_FRAME):
            self._emit_trades(trades[start : start + TRADES_PER_FRAME])
        if held:
            self._emit_trades(self._new(held[0]))
        for number, frame in enumerate(held[1:], 2):
            self._process(frame)
            if self._held is not None:  # another gap
                self._held += held[number:]
                return

    def _process(self, frame: Trades) -> None:
        opens, self._opens = self._opens, False
        if opens and not self._started:
            self._started = True
            self._last = frame.trades[-1] if frame.trades else None
            self._emit(frame)
            return
        if self._is_other_history(frame):
            reason = (
                "the server's trade history is a different one: its trades were lost or replaced"
            )
            self._emit(TradesMissed(self._security, self.last_seq, None, reason))
            self._last = None
        new = self._new(frame)
        if not new:
            return
        if opens:
            is_gap = len(new) == len(frame.trades)  # no known trade in it
        else:
            is_gap = frame.prev_seq is not None and frame.prev_seq > (self.last_seq or 0)
        if is_gap:
            self._held = [frame]
            self._fetch(self.last_seq, new[0].seq)
        else:
            self._emit_trades(new)

    def _new(self, frame: Trades) -> Sequence[TradeView]:
        last = self.last_seq
        if last is None or not frame.trades or frame.trades[0].seq > last:
            return frame.trades
        return [trade for trade in frame.trades if trade.seq > last]

    def _is_other_history(self, frame: Trades) -> bool:
        """Whether a ``seq`` already passed has a later time, which one history cannot have."""
        last = self._last
        if last is None or not frame.trades:
            return False
        return any(t.seq <= last.seq and t.time > last.time for t in frame.trades)

    def _emit_trades(self, trades: Sequence[TradeView]) -> None:
        if not trades:
            return
        prev_seq, self._last = self.last_seq, trades[-1]
        frame = Trades(
            security=self._security,
            seq=trades[-1].seq,
            prev_seq=prev_seq,
            trades=tuple(trades),
        )
        self._emit(frame)
