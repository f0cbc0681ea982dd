"""The actions of a recording, kept as they are read, so that playing can go on from any time.

They lie packed in a temporary file, in segments. At the end of some of them is a **checkpoint**,
the book as the recording has led to it. To go on from a time, the book at that time is made again
from the nearest checkpoint before it; what has not been read yet is read until there. In memory are
only the places of segments and of a few checkpoints, which move further apart as the recording goes
on.
"""

from __future__ import annotations

import tempfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice

import msgspec

from fastbook_cli.replay.actions import Action
from fastbook_cli.replay.fold import Fold, OrderInBook
from fastbook_server.values.instruments import InstrumentSpec

SEGMENT_ACTIONS = 1_024
CHECKPOINTS_MAX = 64
AGAIN_ACTIONS = 256
"""So many actions before a goal are played, so that there are trades to compare."""

_encode = msgspec.msgpack.Encoder().encode
_decode_actions = msgspec.msgpack.Decoder(list[Action]).decode
_decode_book = msgspec.msgpack.Decoder(list[OrderInBook]).decode
_LEVEL = 1


class _Checkpoint(msgspec.Struct, frozen=True, gc=False):
    """The book after so many segments, whose latest action is at ``time_ns``."""

    segments: int
    time_ns: int
    place: tuple[int, int]


class ActionTape:
    """Reads `actions` once, a segment at a time; `spec` is the instrument that they trade."""

    def __init__(
        self,
        actions: Callable[[], Iterator[Action]],
        spec: InstrumentSpec,
        *,
        segment_actions: int = SEGMENT_ACTIONS,
        again_actions: int = AGAIN_ACTIONS,
    ) -> None:
        self._open = actions
        self._actions: Iterator[Action] | None = None
        self._spec = spec
        self._fold = Fold(spec)
        self._segment_actions = segment_actions
        self._again_actions = again_actions
        self._file = tempfile.TemporaryFile(prefix="fastbook-tape-")  # noqa: SIM115 (see close)
        self._end = 0
        self._segments: list[tuple[int, int]] = []
        self._checkpoints: list[_Checkpoint] = []
        self._every = 1
        self._time_ns = 0

    def close(self) -> None:
        """Give the file back."""
        self._file.close()

    @property
    def checkpoints(self) -> list[int]:
        """The times of the checkpoints in nanoseconds, in their order."""
        return [checkpoint.time_ns for checkpoint in self._checkpoints]

    def checkpoint_before(self, time_ns: int) -> int | None:
        """Return the time of the nearest checkpoint that is not after a time."""
        return max((c.time_ns for c in self._checkpoints if c.time_ns <= time_ns), default=None)

    def is_near(self, now_ns: int, time_ns: int) -> bool:
        """Return whether so little lies between two times that it can be played at once.

        All of it has been read, and no checkpoint lies between.
        """
        return time_ns <= self._time_ns and (self.checkpoint_before(time_ns) or 0) <= now_ns

    def read_to(self, time_ns: int) -> bool:
        """Read on towards a time, by one segment; return whether it has been reached, or the end.

        Raises:
            RecordingError: the recording is malformed.
        """
        return self._time_ns >= time_ns or not self._read_on()

    def play_from(self, time_ns: int) -> Iterator[Action]:
        """Return what leads to the market at a time, and the actions from there on.

        First come the orders of a little before, then the actions since; all are numbered from 1.
        The orders have what was left of them; an amend of one that had been filled in part says how
        much of that is to be left.
        """
        before = [c for c in self._checkpoints if c.time_ns < time_ns]
        checkpoint = before[-1] if before else _Checkpoint(0, 0, (0, 0))
        fold = Fold(self._spec, _decode_book(self._load(checkpoint.place)) if before else ())
        latest_ns, segment = checkpoint.time_ns, checkpoint.segments
        again: deque[Action] = deque()
        while segment < len(self._segments) or self._read_on():
            actions = _decode_actions(self._load(self._segments[segment]))
            segment += 1
            for n, action in enumerate(actions):
                if action.time_ns >= time_ns:
                    first = [*again, *actions[n:]]
                    return self._played(latest_ns, [*fold.resting()], first, segment)
                again.append(action)
                if len(again) > self._again_actions:
                    folded = again.popleft()
                    latest_ns = max(latest_ns, folded.time_ns)
                    fold.take(folded)
        return self._played(latest_ns, [*fold.resting()], [*again], segment)

    def _played(
        self, time_ns: int, book: list[OrderInBook], first: list[Action], segment: int
    ) -> Iterator[Action]:
        filled: dict[str, Decimal] = {}
        number = 0
        for order in book:
            number += 1
            if order.filled:
                filled[order.order_id] = order.filled
            yield Action(
                "add", number, 0, time_ns, order.order_id, order.side, order.price, order.left
            )
        actions = first
        while True:
            for action in actions:
                number += 1
                yield _renumbered(action, number, filled)
            if segment >= len(self._segments) and not self._read_on():
                return
            actions = _decode_actions(self._load(self._segments[segment]))
            segment += 1

    def _read_on(self) -> bool:
        """Read another segment; return whether there was one."""
        if self._actions is None:
            self._actions = self._open()
        actions = list(islice(self._actions, self._segment_actions))
        if not actions:
            return False
        for action in actions:
            self._fold.take(action)
            self._time_ns = max(self._time_ns, action.time_ns)
        self._segments.append(self._store(_encode(actions)))
        if len(self._segments) % self._every == 0:
            self._check()
        return True

    def _check(self) -> None:
        """Set a checkpoint; if there are too many, keep every other."""
        place = self._store(_encode([*self._fold.resting()]))
        self._checkpoints.append(_Checkpoint(len(self._segments), self._time_ns, place))
        if len(self._checkpoints) > CHECKPOINTS_MAX:
            self._every *= 2
            self._checkpoints = [c for c in self._checkpoints if c.segments % self._every == 0]

    def _store(self, data: bytes) -> tuple[int, int]:
        packed = zlib.compress(data, _LEVEL)
        place = self._end, len(packed)
        self._file.seek(self._end)
        self._file.write(packed)
        self._end += len(packed)
        return place

    def _load(self, place: tuple[int, int]) -> bytes:
        self._file.seek(place[0])
        return zlib.decompress(self._file.read(place[1]))


def _renumbered(action: Action, number: int, filled: dict[str, Decimal]) -> Action:
    amount = action.amount
    if filled and action.order_id in filled:
        if action.op == "delete":
            del filled[action.order_id]
        elif amount is not None:
            amount -= filled[action.order_id]
    if action.number == number and amount is action.amount:
        return action
    return msgspec.structs.replace(action, number=number, amount=amount)
