"""What all agents of a market share: how busy it is, and what the security is worth.

Both are random processes, driven by a seed and by time. Activity averages 1; it clusters on time
scales from seconds to hours, and each trade raises it for a moment (self-excitation, after Hawkes).
The value is a random walk whose variance follows the activity, so volatility clusters with
activity. Now and then there is news: the value jumps, and activity rises.
"""

from __future__ import annotations

import math
from random import Random

DAY_S = 86_400.0

MOODS = ((20.0, 0.25), (180.0, 0.35), (1_800.0, 0.50), (14_400.0, 0.45))
"""The terms of the logarithm of the activity: time constant in seconds, weight."""
MOOD_STEP_S = 0.5
EXCITEMENT = ((3.0, 0.2), (40.0, 0.2))
"""The excitement after a trade: time constant in seconds, share of the total activity."""
KICK_MAX = 0.5
ACTIVITY_MAX = 6.0
EXPONENT = 1.75
"""The variance of the value grows with this power of the activity."""
EXPONENT_MEAN = 1.5
"""The mean of that power."""

NEWS_PER_DAY = 150.0
NEWS_VARIANCE = 0.1
"""The share of a day's variance that comes from news."""
NEWS_KICK = 2.0
REVERSION_S = 2 * DAY_S
"""Time constant at which the value reverts to its start, so that it never drifts off for good."""
FACTOR_MAX = 3.0
"""The value stays within this factor of its start."""
IMPACT = 0.01
"""How far a trade moves the value, as a share of its distance from the mid price before the trade:
people can move this market. (The distance from the value would be wrong: the passing effect of the
makers' inventories on prices would become a trend.)"""
IMPACT_UNITS_MAX = 4.0


class Activity:
    """How busy the market is; averages 1."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._moods = [weight / 2 for _, weight in MOODS]  # the activity starts at 1
        self._mood = self._weigh()
        self._mood_s = 0.0
        self._excited = [share for _, share in EXCITEMENT]
        self._calm = 1.0 - sum(self._excited)
        self._now_s = 0.0
        self.level = 1.0

    def advance(self, now_s: float) -> float:
        """Return the activity at `now_s`."""
        elapsed_s = now_s - self._now_s
        self._now_s = now_s
        if now_s - self._mood_s >= MOOD_STEP_S:
            self._drift(now_s)
        excited = self._excited
        for i, (tau_s, _) in enumerate(EXCITEMENT):
            excited[i] *= math.exp(-elapsed_s / tau_s)
        self.level = min(ACTIVITY_MAX, self._calm * self._mood + sum(excited))
        return self.level

    def traded(self, trades_per_s: float) -> None:
        """Raise the activity after a trade by anybody; `trades_per_s` is the usual rate."""
        for i, (tau_s, share) in enumerate(EXCITEMENT):
            self._excited[i] += min(KICK_MAX, share / (trades_per_s * tau_s))

    def kick(self, strength: float) -> None:
        """Raise the activity after news."""
        for i in range(len(EXCITEMENT)):
            self._excited[i] += strength / len(EXCITEMENT)

    def _drift(self, now_s: float) -> None:
        elapsed_s = now_s - self._mood_s
        self._mood_s = now_s
        for i, (tau_s, _) in enumerate(MOODS):
            kept = math.exp(-elapsed_s / tau_s)
            fresh = math.sqrt(1.0 - kept * kept)
            self._moods[i] = kept * self._moods[i] + fresh * self._random.gauss(0.0, 1.0)
        self._mood = self._weigh()

    def _weigh(self) -> float:
        """Return the exponential of the weighted moods, which has mean 1."""
        exponent = sum(w * (x - w / 2) for (_, w), x in zip(MOODS, self._moods, strict=True))
        return math.exp(exponent)


class Value:
    """The value of the security, in ticks; `volatility` is per day, 0.03 for 3 per cent."""

    def __init__(self, random: Random, start: float, volatility: float) -> None:
        self._random = random
        self._start = start
        self._log_max = math.log(FACTOR_MAX)
        self._log = 0.0  # of value / start
        self._now_s = 0.0
        self._news_s = self._next_news(0.0)
        self.volatility = volatility

    @property
    def ticks(self) -> float:
        """The value, at least half a tick so that a bid at one tick stays plausible."""
        return max(0.5, self._start * math.exp(self._log))

    @property
    def unit(self) -> float:
        """How far the value typically moves in a second, at least one tick."""
        return max(1.0, self.ticks * self.volatility / math.sqrt(DAY_S))

    def advance(self, now_s: float, activity: float) -> float:
        """Advance to `now_s`; return the strength of the news since then, usually 0."""
        elapsed_s = now_s - self._now_s
        self._now_s = now_s
        busy = activity**EXPONENT / EXPONENT_MEAN
        variance = self.volatility**2 * (1.0 - NEWS_VARIANCE) * busy * elapsed_s / DAY_S
        step = self._random.gauss(0.0, math.sqrt(variance)) - self._log * elapsed_s / REVERSION_S
        strength = 0.0
        if now_s >= self._news_s:
            self._news_s = self._next_news(now_s)
            size = self.volatility * math.sqrt(NEWS_VARIANCE / NEWS_PER_DAY / 2)
            heavy = self._random.expovariate(1.0)  # Laplace: variance 2
            step += size * heavy * self._random.choice((-1.0, 1.0))
            strength = heavy * NEWS_KICK
        self._move(step)
        return strength

    def traded(self, distance: float) -> None:
        """Let a trade move the value; `distance` is from the mid price before it, in ticks."""
        bound = IMPACT_UNITS_MAX * self.unit
        self._move(IMPACT * max(-bound, min(bound, distance)) / self.ticks)

    def _next_news(self, now_s: float) -> float:
        return now_s + self._random.expovariate(NEWS_PER_DAY / DAY_S)

    def _move(self, step: float) -> None:
        self._log = max(-self._log_max, min(self._log_max, self._log + step))
