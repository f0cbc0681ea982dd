"""What can be changed while a recorded market plays: its speed, a pause, a jump in time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import msgspec

from fastbook_cli.replay.actions import Action
from fastbook_cli.replay.agreement import Agreement
from fastbook_cli.replay.lane import Pace

SPEED_MIN, SPEED_MAX = 0.01, 10_000.0
_NS_PER_MS = 1_000_000


class ReplayChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; None leaves it as it is. ``time`` jumps there, in ms as the recording has."""

    speed: float | None = None
    running: bool | None = None
    time: int | None = None


class ReplayTrade(msgspec.Struct, frozen=True, rename="camel"):
    """What one order traded: at the venue, and here. Prices are averages, None for no trade."""

    time: int
    type: str
    venue_price: float
    venue_amount: float
    price: float | None
    amount: float


class ReplayState(msgspec.Struct, frozen=True, rename="camel"):
    """Where a replay is; times are ms as the recording has them. ``impact`` is in money."""

    file: str
    first: int
    last: int
    time: int
    speed: float
    running: bool
    operations: int
    agreed: int
    impact: float
    trades: list[ReplayTrade]
    bounds: dict[str, dict[str, float]]


class Tempo(Pace):
    """The pace of a replay that can be changed while it plays.

    Recorded time passes `speed` times as fast as `clock_s`, or stands still.
    """

    def __init__(self, speed: float, at_ns: int, clock_s: Callable[[], float]) -> None:
        super().__init__(speed, at_ns, clock_s())
        self.speed = speed
        self.running = True
        self._clock_s = clock_s
        self._anchor_ns = at_ns
        self._anchor_s = clock_s()

    @property
    def now_ns(self) -> int:
        """The recorded time that has been reached."""
        if not self.running:
            return self._anchor_ns
        return self._anchor_ns + int((self._clock_s() - self._anchor_s) * self.speed * 1e9)

    def change(
        self, *, speed: float | None = None, running: bool | None = None, at_ns: int | None = None
    ) -> None:
        """Go on at another speed, stop or go on, or go on from another time."""
        self._anchor_ns = self.now_ns if at_ns is None else at_ns
        self._anchor_s = self._clock_s()
        self.speed = self.speed if speed is None else speed
        self.running = self.running if running is None else running

    def due_s(self, action: Action) -> float:
        """Return when to send `action`; infinity while time stands still before it."""
        self._latest_ns = max(self._latest_ns, action.time_ns)
        ahead_ns = self._latest_ns - self._anchor_ns
        if ahead_ns <= 0:
            return 0.0
        return self._anchor_s + ahead_ns / 1e9 / self.speed if self.running else math.inf


class ReplayControl:
    """The handle of a replay; each round of it has its own `Tempo` and `Agreement`.

    `is_near` tells whether what lies between two times may be played at once.
    """

    def __init__(
        self,
        file: str,
        first_ns: int,
        last_ns: int,
        speed: float,
        is_near: Callable[[int, int], bool] = lambda _, __: True,
    ) -> None:
        self.start_ns = first_ns
        self.back = asyncio.Event()
        self._file = file
        self._first_ns, self._last_ns = first_ns, last_ns
        self._speed, self._running = speed, True
        self._tempo: Tempo | None = None
        self._is_near = is_near
        self._agreement: Callable[[], Agreement] = Agreement
        self._nudge: Callable[[], None] = lambda: None

    def begin(
        self,
        clock_s: Callable[[], float],
        agreement: Callable[[], Agreement],
        nudge: Callable[[], None],
    ) -> Tempo:
        """Return the tempo of another round, which starts where the last change wants it."""
        self.back.clear()
        tempo = Tempo(self._speed, self.start_ns, clock_s)
        tempo.change(running=self._running)
        self.start_ns = self._first_ns
        self._tempo, self._agreement, self._nudge = tempo, agreement, nudge
        return tempo

    def apply(self, change: ReplayChange) -> None:
        """Apply the whole change, or nothing.

        A jump back or far ahead starts another round, with the book at its goal; one a little ahead
        plays what lies between at once.

        Raises:
            ValueError: a value is outside its bounds.
        """
        if change.speed is not None and not SPEED_MIN <= change.speed <= SPEED_MAX:
            raise ValueError(
                f"speed: expected {SPEED_MIN:g} to {SPEED_MAX:g}, got {change.speed:g}"
            )
        at_ns = None if change.time is None else change.time * _NS_PER_MS
        first, last = self._first_ns // _NS_PER_MS, -(-self._last_ns // _NS_PER_MS)
        if change.time is not None and not first <= change.time <= last:
            raise ValueError(f"time: expected {first} to {last}, got {change.time}")
        self._speed = self._speed if change.speed is None else change.speed
        self._running = self._running if change.running is None else change.running
        tempo = self._tempo
        if tempo is None:
            self.start_ns = self.start_ns if at_ns is None else at_ns
            return
        if at_ns is not None:
            now_ns = tempo.now_ns
            if at_ns < now_ns or not self._is_near(now_ns, at_ns):
                self.start_ns, self._tempo = at_ns, None
                self.back.set()
                return
        tempo.change(speed=change.speed, running=change.running, at_ns=at_ns)
        self._nudge()

    def state(self) -> ReplayState:
        """Return where the replay is."""
        now_ns = self._tempo.now_ns if self._tempo is not None else self.start_ns
        agreement = self._agreement()
        return ReplayState(
            file=self._file,
            first=self._first_ns // _NS_PER_MS,
            last=self._last_ns // _NS_PER_MS,
            time=min(now_ns, self._last_ns) // _NS_PER_MS,
            speed=self._speed,
            running=self._running,
            operations=agreement.operations,
            agreed=agreement.agreed,
            impact=round(agreement.impact, 2),
            trades=[_trade(*entry) for entry in agreement.recent],
            bounds={"speed": {"least": SPEED_MIN, "most": SPEED_MAX}},
        )


def _trade(time_ns: int, side: str, venue: Any, here: Any) -> ReplayTrade:
    there_price, there_amount = _average(venue)
    price, amount = _average(here)
    assert there_price is not None, "the venue's operation has a fill"
    return ReplayTrade(time_ns // _NS_PER_MS, side, there_price, there_amount, price, amount)


def _average(matches: Any) -> tuple[float | None, float]:
    amount = sum(match[2] for match in matches)
    if not amount:
        return None, 0.0
    return sum(price * part for _, price, part in matches) / amount, amount
