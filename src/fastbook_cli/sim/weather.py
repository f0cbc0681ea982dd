"""What the whole market shares: how busy it is, and what the security is worth.

Both are random processes of a seed and of the time. Activity is 1 on average; it clusters on
time scales from seconds to hours, and every trade raises it for a moment (self-excitation, after
Hawkes). The value is a random walk whose variance follows the activity, so that volatility
clusters where activity does; now and then there is news: the value jumps, and activity with it.
"""

from __future__ import annotations

import math
from random import Random

DAY_S = 86_400.0

MOODS = ((20.0, 0.25), (180.0, 0.35), (1_800.0, 0.50), (14_400.0, 0.45))
"""Time constants in seconds and weights of what the logarithm of the activity is the sum of."""
MOOD_STEP_S = 0.5
EXCITEMENT = ((3.0, 0.2), (40.0, 0.2))
"""Time constants of what a trade stirs up, and the share of all activity that each is."""
KICK_MAX = 0.5
ACTIVITY_MAX = 6.0
EXPONENT = 1.75
"""The variance of the value grows with this power of the activity …"""
EXPONENT_MEAN = 1.5
"""… whose mean this is."""

NEWS_PER_DAY = 150.0
NEWS_VARIANCE = 0.1
"""The share of a day's variance that comes from news."""
NEWS_KICK = 2.0
REVERSION_S = 2 * DAY_S
"""How slowly the value is drawn back to where it began: it never gets away for good."""
FACTOR_MAX = 3.0
"""The farthest that the value gets from where it began, as a factor."""
IMPACT = 0.01
"""How far a trade moves the value, as a share of its distance from the middle of the book before:
people can move this market. (From the value itself would be wrong: what the makers' inventories
do to prices for a while would become a trend.)"""
IMPACT_UNITS_MAX = 4.0


class Activity:
    """How busy the market is, 1 on average."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._moods = [weight / 2 for _, weight in MOODS]  # an ordinary moment
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
        """Let a trade, of whomever, stir the market up; `trades_per_s` is what is usual."""
        for i, (tau_s, share) in enumerate(EXCITEMENT):
            self._excited[i] += min(KICK_MAX, share / (trades_per_s * tau_s))

    def kick(self, strength: float) -> None:
        """Let news stir it up."""
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
        """Return exp of the moods' sum, of mean 1."""
        exponent = sum(w * (x - w / 2) for (_, w), x in zip(MOODS, self._moods, strict=True))
        return math.exp(exponent)


class Value:
    """What the security is worth, in ticks; `volatility` is that of a day, 0.03 for 3 per cent."""

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
        """The value; at least half a tick, so that a bid at one tick is no nonsense."""
        return max(0.5, self._start * math.exp(self._log))

    @property
    def unit(self) -> float:
        """How far it usually moves in a second; at least a tick."""
        return max(1.0, self.ticks * self.volatility / math.sqrt(DAY_S))

    def advance(self, now_s: float, activity: float) -> float:
        """Move on to `now_s`; return the strength of the news that came, mostly 0."""
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
        """Let a trade move it; `distance` is the trade's from the middle before, in ticks."""
        bound = IMPACT_UNITS_MAX * self.unit
        self._move(IMPACT * max(-bound, min(bound, distance)) / self.ticks)

    def _next_news(self, now_s: float) -> float:
        return now_s + self._random.expovariate(NEWS_PER_DAY / DAY_S)

    def _move(self, step: float) -> None:
        self._log = max(-self._log_max, min(self._log_max, self._log + step))
