"""The public fills of one security, each exactly once and in order, across reconnects.

The channel ``fills`` numbers them without gaps. Whenever the next one is not one more than the last
one emitted, those between are fetched and later frames are held back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from fastbook_client.events import FillsMissed
from fastbook_client.gapless import Gapless
from fastbook_wire.frames import Fills, FillView

FILLS_PER_FRAME = 1_000
OTHER_HISTORY = "the server's fills are different ones: its history was lost or replaced"


class FillGap(Struct, frozen=True):
    """The fills after ``last`` (None: from the first one on) and before ``before_id``."""

    last: FillView | None
    before_id: int


class FoundFills(Struct, frozen=True):
    """The fills found in a gap, oldest first.

    ``reason`` tells why others are missing, if there are any. ``is_other`` means that the history
    has another fill with the id of the last one.
    """

    fills: Sequence[FillView]
    reason: str = ""
    is_other: bool = False


class FillTape(Gapless[Fills, FillGap, FoundFills]):
    """Turns the ``fills`` frames of one security into a gapless sequence for `emit`."""

    def __init__(
        self,
        security: str,
        emit: Callable[[Fills | FillsMissed], None],
        fetch: Callable[[FillGap], Callable[[], object]],
        held_max: int,
    ) -> None:
        super().__init__(fetch, held_max)
        self._security = security
        self._emit = emit
        self._last: FillView | None = None
        self._next_id: int | None = None  # None: whatever comes
        self._started = False

    def _process(self, frame: Fills, opens: bool) -> None:
        if not self._started:
            self._started = True
            self._emit_fills(frame.fills)
        elif opens and self._is_other(frame.fills):
            self._start_over()
            self._emit_fills(frame.fills)
        elif new := self._new(frame):
            # An opening frame without the last fill may be of another history with the same ids.
            follows = not opens or self._last in (None, *frame.fills)
            if follows and new[0].fill_id == self._next_id:
                self._emit_fills(new)
            else:
                self._open_gap(FillGap(self._last, new[0].fill_id), frame)

    def _new(self, frame: Fills) -> list[FillView]:
        last_id = 0 if self._last is None else self._last.fill_id
        return [fill for fill in frame.fills if fill.fill_id > last_id]

    def _is_other(self, opening: Sequence[FillView]) -> bool:
        """Return whether the last fills of the server show that it has lost the tape's last one."""
        last = self._last
        if last is None:
            return False
        if not opening or opening[-1].fill_id < last.fill_id:
            return True
        return any(fill.fill_id == last.fill_id and fill != last for fill in opening)

    def _fill(self, found: FoundFills, frame: Fills) -> None:
        if found.is_other:
            self._start_over()
        for start in range(0, len(found.fills), FILLS_PER_FRAME):
            self._emit_or_miss(found.fills[start : start + FILLS_PER_FRAME], found.reason)
        self._emit_or_miss(self._new(frame), found.reason)

    def _nothing(self, reason: str) -> FoundFills:
        return FoundFills((), reason)

    def _start_over(self) -> None:
        self._miss(None, OTHER_HISTORY)
        self._last, self._next_id = None, None

    def _miss(self, before_id: int | None, reason: str) -> None:
        after_id = 0 if self._last is None else self._last.fill_id
        self._emit(FillsMissed(self._security, after_id, before_id, reason))

    def _emit_or_miss(self, fills: Sequence[FillView], reason: str) -> None:
        """Emit fills; first tell what is missing before them."""
        if self._next_id not in (None, fills[0].fill_id):
            self._miss(fills[0].fill_id, reason)
        self._emit_fills(fills)

    def _emit_fills(self, fills: Sequence[FillView]) -> None:
        if fills:
            self._last = fills[-1]
        self._next_id = 1 if self._last is None else self._last.fill_id + 1
        self._emit(Fills(security=self._security, fills=tuple(fills)))
