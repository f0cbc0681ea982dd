"""The agents of one security: which acts when, and what it sees. Pure: time and book are given."""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate
from random import Random

from fastbook_cli.sim.activity_and_value import Activity, Value
from fastbook_cli.sim.agents import Agent, Large, Maker, Noise, Trend
from fastbook_cli.sim.settings import SimSettings
from fastbook_cli.sim.words import AgentReport, Intent, Look, VisibleBook

CALLS = {Maker: 0.45, Noise: 0.43, Trend: 0.07, Large: 0.05}
"""The share of each kind of agent in all calls."""
INVENTORY_MAX = {Maker: 60, Noise: 30, Trend: 15, Large: 60}
"""The inventory that an agent of each kind aims to stay within, in typical order sizes."""
MEMORY = 0.002
"""The weight of the newest call in the moving averages of commands and trades per call."""
CALLS_MIN_PER_S = 1e-3


class Scene:
    """The agents of one security, and the times at which they act.

    A driver waits until `due_s`, gets the acting agent from `call` and its commands from `decide`,
    and reports the outcome by `hear` and `traded`. The same settings and the same outcomes give the
    same decisions. `rate` is in commands per second, `start` is the first value in ticks, `typical`
    the typical order size in lots.
    """

    def __init__(
        self, settings: SimSettings, security: str, *, rate: float, start: int, typical: int
    ) -> None:
        def chance(name: str) -> Random:
            return Random(f"{settings.seed}/{security}/{name}")

        numbers = {Maker: settings.makers, Noise: settings.noise}
        numbers |= {Trend: settings.trend, Large: settings.large}
        self.agents: list[Agent] = []
        weights = []
        for kind, number in numbers.items():
            for i in range(number):
                random = chance(f"{kind.__name__}/{i}")
                self.agents.append(kind(random, typical, INVENTORY_MAX[kind] * typical))
                weights.append(CALLS[kind] / number)
        self._weights = list(accumulate(weights))
        self._random = chance("schedule")
        self._activity = Activity(chance("activity"))
        self._value = Value(chance("value"), float(start), settings.volatility / 100)
        self._rate = rate
        self._middle = float(start)
        self._cost = 3.0  # commands per call, a moving average
        self._trades = 0.15  # trades per call, a moving average
        self._opening = list(reversed(range(len(self.agents))))
        self.due_s = 0.0

    @property
    def value(self) -> float:
        """The fair value in the eyes of the market makers, in ticks."""
        return self._value.ticks

    @property
    def activity(self) -> float:
        """How busy the market is; averages 1."""
        return self._activity.level

    def tune(self, *, rate: float, volatility: float, now_s: float) -> None:
        """Change the rate and the volatility, which is per day, in per cent.

        `now_s` is not before the last call. The time of the next call is drawn again: at a low rate
        the previous one could be far off.
        """
        self._rate = rate
        self._value.volatility = volatility / 100
        if not self._opening:
            self.due_s = now_s + self._wait_s()

    def call(self) -> int:
        """Return the number of the agent that acts at `due_s`, and set `due_s` for the next one.

        At the start each agent acts once, market makers first.
        """
        now_s = self.due_s
        strength = self._value.advance(now_s, self._activity.advance(now_s))
        if strength:
            self._activity.kick(strength)
        if self._opening:
            return self._opening.pop()
        self.due_s = now_s + self._wait_s()
        return bisect(self._weights, self._random.random() * self._weights[-1])

    def decide(self, number: int, book: VisibleBook, now_s: float) -> list[Intent]:
        """Return the intents of agent `number`, in order."""
        value, unit = self._value.ticks, self._value.unit
        bid, ask = book.best()
        if bid is None:
            bid = max(1, int(value - unit) if ask is None else min(int(value - unit), ask - 1))
        if ask is None:
            ask = max(bid + 1, int(value + unit) + 1)
        self._middle = (bid + ask) / 2
        look = Look(now_s, value, unit, bid, ask, book)
        intents = self.agents[number].act(look)
        self._cost += MEMORY * (len(intents) - self._cost)
        self._trades -= MEMORY * self._trades
        return intents

    def hear(self, number: int, report: AgentReport) -> None:
        """Report the state of one of its orders to agent `number`."""
        self.agents[number].hear(report)

    def traded(self, price: int) -> None:
        """Take note of a public trade by anybody."""
        self._value.traded(price - self._middle)
        self._trades += MEMORY
        self._activity.traded(self._calls_per_s() * self._trades)

    def _wait_s(self) -> float:
        return self._random.expovariate(self._calls_per_s() * self._activity.level)

    def _calls_per_s(self) -> float:
        return max(CALLS_MIN_PER_S, self._rate / max(0.5, self._cost))
