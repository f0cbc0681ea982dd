"""The public trades of one security, each exactly once and in order, across reconnects.

A tape remembers the last trade it emitted. Each frame of the server names the trade before its
first one by ``prevSeq``, except an opening frame. Whenever that trade is not the last one of the
tape, the trades between are fetched and later frames are held back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from fastbook_client.events import TradesMissed
from fastbook_client.gapless import Gapless
from fastbook_wire.frames import Trades, TradeView

TRADES_PER_FRAME = 1_000
OTHER_HISTORY = "the server's trade history is a different one: its trades were lost or replaced"


class Gap(Struct, frozen=True):
    """The trades after ``last`` (None: there were none) and before ``before_seq``.

    ``proof_seq`` is the ``seq`` of the newest trade of which the server has told that it comes
    before those in hand, or is the first of them: a history without it is not up to date.
    """

    last: TradeView | None
    proof_seq: int
    before_seq: int


class Filling(Struct, frozen=True):
    """The trades found in a gap.

    ``missing`` is why the oldest ones are not among them, ``behind`` why the newest are not.
    ``is_other`` means that the history does not contain the last trade of the tape.
    """

    trades: Sequence[TradeView]
    missing: str | None = None
    behind: str | None = None
    is_other: bool = False


def is_known(trade: TradeView, last: TradeView | None) -> bool:
    """Return whether a tape that has emitted `last` has passed `trade`.

    A trade with a lower ``seq`` and a later time cannot be of the same history: it is a new one.
    """
    if last is None:
        return False
    return trade.id == last.id or (trade.seq < last.seq and trade.time <= last.time)


class Tape(Gapless[Trades, Gap, Filling]):
    """Turns the ``trades`` frames of one security into a gapless sequence for `emit`."""

    def __init__(
        self,
        security: str,
        emit: Callable[[Trades | TradesMissed], None],
        fetch: Callable[[Gap], Callable[[], object]],
        held_max: int,
    ) -> None:
        super().__init__(fetch, held_max)
        self._security = security
        self._emit = emit
        self._last: TradeView | None = None
        self._position: int | None = None  # the last trade of the connection's latest frame
        self._started = False

    @property
    def last_seq(self) -> int | None:
        """The ``seq`` of the last trade emitted; None if there is none."""
        return None if self._last is None else self._last.seq

    def reopen(self) -> None:
        """Expect the first frame after a subscription or on a new connection."""
        super().reopen()
        self._position = None

    def _nothing(self, reason: str) -> Filling:
        return Filling((), behind=reason)

    def _fill(self, found: Filling, frame: Trades) -> None:
        if found.is_other:
            self._start_over()
        missing, behind = found.missing, found.behind
        if found.trades and missing is not None:
            self._miss(found.trades[0].seq, missing)
        for start in range(0, len(found.trades), TRADES_PER_FRAME):
            self._emit_trades(found.trades[start : start + TRADES_PER_FRAME])
        if behind is not None or (missing is not None and not found.trades):
            self._miss(frame.trades[0].seq, behind or missing or "")
        self._emit_trades(frame.trades)

    def _process(self, frame: Trades, opens: bool) -> None:
        position, trades = self._position, frame.trades
        self._position = trades[-1].seq if trades else frame.prev_seq
        if not self._started:
            self._started = True
            self._last = trades[-1] if trades else None
            self._emit(frame)
            return
        new = [trade for trade in trades if not is_known(trade, self._last)]
        if not new:
            return
        if len(new) < len(trades):
            before = trades[-len(new) - 1]
            if self._last is not None and before.id != self._last.id:
                self._start_over()
            self._emit_trades(new)
        elif opens:  # whatever it says: another history may have the same numbers
            self._missed(frame, new[0].seq if frame.prev_seq is None else frame.prev_seq)
        elif frame.prev_seq in (position, None):
            if frame.prev_seq != self.last_seq:  # the last trade is not where it would have to be
                self._start_over()
            self._emit_trades(new)
        else:
            self._missed(frame, frame.prev_seq)

    def _missed(self, frame: Trades, proof_seq: int) -> None:
        self._open_gap(Gap(self._last, proof_seq, frame.trades[0].seq), frame)

    def _miss(self, before_seq: int | None, reason: str) -> None:
        self._emit(TradesMissed(self._security, self.last_seq, before_seq, reason))

    def _start_over(self) -> None:
        self._miss(None, OTHER_HISTORY)
        self._last = None

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
