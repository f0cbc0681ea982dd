"""The settings that can be changed while a simulated market runs."""

from __future__ import annotations

import asyncio

import msgspec

from fastbook_cli.sim.settings import BOUNDS, Bounds, SimSettings, check


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings to change; None leaves one as it is. With `running` False the agents pause."""

    rate: float | None = None
    volatility: float | None = None
    running: bool | None = None


class State(msgspec.Struct, frozen=True):
    """The current settings, and the `bounds` of the numeric ones."""

    rate: float
    volatility: float
    running: bool
    bounds: dict[str, dict[str, float]]


class Control:
    """The adjustable settings of a running market.

    Each change sets `changed`; the market clears it and reads the values.
    """

    def __init__(self, settings: SimSettings) -> None:
        self.rate = settings.rate
        self.volatility = settings.volatility
        self.running = True
        self.changed = asyncio.Event()

    def apply(self, change: Change) -> None:
        """Apply the whole change, or nothing.

        Raises:
            ValueError: a value is outside its bounds.
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
        """Return the current settings."""
        bounds = {name: b._asdict() for name, b in _adjustable().items()}
        return State(self.rate, self.volatility, self.running, bounds)


def _adjustable() -> dict[str, Bounds]:
    return {name: BOUNDS[name] for name in ("rate", "volatility")}
