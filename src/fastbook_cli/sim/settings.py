"""The settings of a simulated market and their bounds."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Bounds(NamedTuple):
    """The smallest and the largest legal value of a setting."""

    min: float
    max: float


BOUNDS: dict[str, Bounds] = {
    "rate": Bounds(0.1, 2_000.0),
    "volatility": Bounds(0.1, 100.0),
    "speed": Bounds(0.01, 100.0),
    "makers": Bounds(1, 50),
    "noise": Bounds(0, 200),
    "trend": Bounds(0, 50),
    "large": Bounds(0, 10),
}


class SimSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a simulated market.

    `rate` is in commands per second, over all agents and securities. `volatility` is the standard
    deviation of the daily return, in per cent. `speed` is simulated seconds per second. `makers`,
    `noise`, `trend` and `large` count the agents of each kind.

    Raises:
        ValueError: a value is outside its ``BOUNDS``; the message names it.
    """

    rate: float = 60.0
    volatility: float = 3.0
    seed: int = 1
    speed: float = 1.0
    makers: int = 4
    noise: int = 8
    trend: int = 2
    large: int = 1

    def __post_init__(self) -> None:
        for name, bounds in BOUNDS.items():
            check(name, getattr(self, name), bounds)


def check(name: str, value: float, bounds: Bounds) -> None:
    """Check a value against its bounds. NaN fails.

    Raises:
        ValueError: the value is outside.
    """
    if not bounds.min <= value <= bounds.max:
        raise ValueError(f"{name}: expected {bounds.min:g} to {bounds.max:g}, got {value:g}")
