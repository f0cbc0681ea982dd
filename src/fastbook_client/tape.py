"""The public trades of one security, each exactly once and in order, whatever the connection does.

A tape knows the last trade that it gave away. Frames of the server chain on it by ``prevSeq``;
where they do not, it asks for the trades in between, and holds back what comes meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastbook_client.errors import TooSlow
from fastbook_client.events import TradesMissed
from fastbook_wire.frames import Trades, TradeView

TRADES_PER_FRAME = 1_000


class Tape:
    """Frames of one security's ``book`` channel in, `emit` called with what is new.

    `ask` is called to get the trades after one ``seq`` and before another one; whoever does that
    calls `filled`, unless the connection is lost before.
    """

    def __init__(
        self,
        security: str,
        emit: Callable[[Trades | TradesMissed], None],
        ask: Callable[[int | None, int], None],
        held_max: int,
    ) -> None:
        self._security = security
        self._emit = emit
        self._ask = ask
        self._held_max = held_max
        self._held: list[Trades] | None = None  # while trades before them are asked for
        self._last: TradeView | None = None
        self._started = False
        self._opens = True

    @property
    def last_seq(self) -> int | None:
        """The ``seq`` of the last trade that was given away."""
        return None if self._last is None else self._last.seq

    def reopen(self) -> None:
        """Expect an opening frame: the channel was subscribed (again), or the connection is new."""
        self._held = None
        self._opens = True

    def take(self, frame: Trades) -> None:
        """Take a frame.

        Raises:
            TooSlow: too many are held back.
        """
        if self._held is None:
            self._process(frame)
        elif len(self._held) < self._held_max:
            self._held.append(frame)
        else:
            raise TooSlow(self._held_max)

    def filled(self, trades: Sequence[TradeView], before_seq: int, missing: str | None) -> None:
        """Take the trades that were asked for; `missing` says why older ones cannot be had."""
        held, self._held = self._held or [], None
        if missing is not None:
            first = trades[0].seq if trades else before_seq
            self._emit(TradesMissed(self._security, self.last_seq, first, missing))
        for start in range(0, len(trades), TRADES_PER_FRAME):
            self._give(trades[start : start + TRADES_PER_FRAME])
        if held:
            self._give(self._new(held[0]))
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
        if self._is_another_past(frame):
            reason = "the server's trades start anew: it has lost, or was given, another past"
            self._emit(TradesMissed(self._security, self.last_seq, None, reason))
            self._last = None
        new = self._new(frame)
        if not new:
            return
        if opens:
            is_gap = len(new) == len(frame.trades)  # nothing known in it to join
        else:
            is_gap = frame.prev_seq is not None and frame.prev_seq > (self.last_seq or 0)
        if is_gap:
            self._held = [frame]
            self._ask(self.last_seq, new[0].seq)
        else:
            self._give(new)

    def _new(self, frame: Trades) -> Sequence[TradeView]:
        last = self.last_seq
        if last is None or not frame.trades or frame.trades[0].seq > last:
            return frame.trades
        return [trade for trade in frame.trades if trade.seq > last]

    def _is_another_past(self, frame: Trades) -> bool:
        """Whether an old ``seq`` has a newer trade than the last one: time never goes back."""
        last = self._last
        if last is None or not frame.trades:
            return False
        return any(t.seq <= last.seq and t.time > last.time for t in frame.trades)

    def _give(self, trades: Sequence[TradeView]) -> None:
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
