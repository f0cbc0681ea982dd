"""What can be set of a simulated market, with its bounds; `rate` and `volatility` while it runs."""

from __future__ import annotations

from typing import NamedTuple

import msgspec


class Bounds(NamedTuple):
    """The least and the largest value of a setting, both inclusive."""

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
    """A simulated market.

    `rate` is in commands per second of all agents on all securities together, `volatility` the
    standard deviation of a day's return in per cent, `speed` how many seconds of the market pass
    in one of ours. `makers`, `noise`, `trend` and `large` count the agents of each kind.

    Raises:
        ValueError: a value is out of its ``BOUNDS``; the message says which.
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
    """Hold a value to its bounds; NaN is in none.

    Raises:
        ValueError: it is outside.
    """
    if not bounds.min <= value <= bounds.max:
        raise ValueError(f"{name}: expected {bounds.min:g} to {bounds.max:g}, got {value:g}")
