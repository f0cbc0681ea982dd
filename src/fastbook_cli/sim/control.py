"""What can be changed of a market while it runs, and who must hear of it."""

from __future__ import annotations

import asyncio

import msgspec

from fastbook_cli.sim.settings import BOUNDS, Bounds, SimSettings, check


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody wants to be otherwise; None: as it is. `running` False: the agents pause."""

    rate: float | None = None
    volatility: float | None = None
    running: bool | None = None


class State(msgspec.Struct, frozen=True):
    """What holds now, as it is told; `bounds` are those of the numbers."""

    rate: float
    volatility: float
    running: bool
    bounds: dict[str, dict[str, float]]


class Control:
    """The adjustable part of a market's settings.

    `changed` is set at every change; whoever follows it clears it and reads the values.
    """

    def __init__(self, settings: SimSettings) -> None:
        self.rate = settings.rate
        self.volatility = settings.volatility
        self.running = True
        self.changed = asyncio.Event()

    def apply(self, change: Change) -> None:
        """Change all that is asked for, or nothing.

        Raises:
            ValueError: a value is out of its bounds.
        """
        for name in _adjustable():
            value = getattr(change, name)
            if value is not None:
                check(name, value, BOUNDS[name])
        for name in change.__struct_fields__:
            value = getattr(change, name)
            if value is not None:
                setattr(self, name, value)
        self.changed.set()

    def state(self) -> State:
        """Return what holds now."""
        bounds = {name: b._asdict() for name, b in _adjustable().items()}
        return State(self.rate, self.volatility, self.running, bounds)


def _adjustable() -> dict[str, Bounds]:
    return {name: BOUNDS[name] for name in ("rate", "volatility")}
