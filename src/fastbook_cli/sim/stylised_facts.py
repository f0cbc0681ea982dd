"""Statistics of a simulated day: ``python -m fastbook_cli.sim.stylised_facts``.

Prints the distributions, and which stylised facts of real markets hold by which numbers. ``--save``
writes the samples for the plot of docs/simulation.md.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from fastbook_cli.sim.activity_and_value import EXPONENT
from fastbook_cli.sim.headless import DEFAULT, Headless
from fastbook_cli.sim.settings import SimSettings
from fastbook_cli.sim.statistics import (
    autocorrelation,
    deviation,
    excess_kurtosis,
    hill,
    log_returns,
    mean,
    quantile,
)
from fastbook_server.values.events import ExchangeEvent, Traded

LEVELS = 10
WARM_UP_S = 60
HORIZONS_S = (1, 10, 60, 300)
LAGS = {1: (1, 2, 5, 10, 30, 60, 300, 1_800), 10: (1, 2, 6, 30, 180), 60: (1, 2, 5, 15, 30, 60)}


class Recorder:
    """Samples one market each second, and checks its best prices after each command."""

    def __init__(self, settings: SimSettings) -> None:
        self.market = Headless(settings, watch=self._see)
        self.security = DEFAULT[0].security
        self._book = self.market.exchange.markets[self.security].book
        self.middles: list[float] = []
        self.last_prices: list[float] = []
        self.spreads: Counter[int] = Counter()
        self.depth = [0.0] * LEVELS
        self.depth_samples = [0] * LEVELS
        self.activity: list[float] = []
        self.trades_per_s: list[int] = []
        self.trades = 0
        self.empty = 0
        self.open_max = 0
        self.own_open_max = 0
        self.inventory_max = 0.0
        self._last = math.nan

    def run(self, duration_s: int) -> None:
        """Simulate and record; the first ``WARM_UP_S`` seconds are not recorded."""
        scene = self.market.scenes[self.security]
        self.market.run(WARM_UP_S)
        self.empty = self.trades = 0
        for second in range(WARM_UP_S, WARM_UP_S + duration_s):
            before = self.trades
            self.market.run(second)
            self.trades_per_s.append(self.trades - before)
            bids, asks = self._book.depth(LEVELS)
            self.middles.append((bids[0][0] + asks[0][0]) / 2)
            self.last_prices.append(self._last)
            self.spreads[asks[0][0] - bids[0][0]] += 1
            self.activity.append(scene.activity)
            for level, ((_, bid), (_, ask)) in enumerate(zip(bids, asks, strict=False)):
                self.depth[level] += (bid + ask) / 2
                self.depth_samples[level] += 1
            self.open_max = max(self.open_max, len(self._book))
            for agent in scene.agents:
                self.own_open_max = max(self.own_open_max, len(agent.orders))
                used = abs(agent.inventory) / agent.inventory_max
                self.inventory_max = max(self.inventory_max, used)

    def _see(self, _security: str, events: Sequence[ExchangeEvent]) -> None:
        book = self._book
        if book.best_bid is None or book.best_ask is None:
            self.empty += 1
        for event in events:
            if type(event) is Traded:
                self.trades += 1
                self._last = event.notional / event.quantity

    def mean_depth(self) -> list[float]:
        """Return the mean quantity of each level of a side, best first, in typical order sizes."""
        typical = self.market.typical
        return [d / n / typical for d, n in zip(self.depth, self.depth_samples, strict=True) if n]


def report(recorder: Recorder) -> str:
    """Return the statistics as text."""
    middles = recorder.middles
    seconds = len(middles)
    lines = [
        f"price            first {middles[0]:g}, last {middles[-1]:g}, lowest {min(middles):g}, "
        f"highest {max(middles):g} ticks",
        f"commands         {recorder.market.commands:,}: "
        f"{recorder.market.commands / recorder.market.now_s:.1f}/s",
        f"trades           {recorder.trades:,}: {recorder.trades / seconds:.2f}/s",
        f"activity         mean {mean(recorder.activity):.2f}, mean of its power "
        f"{EXPONENT:g} {mean([a**EXPONENT for a in recorder.activity]):.2f}",
        f"empty side       after {recorder.empty} commands",
        f"open orders      at most {recorder.open_max}, of one agent {recorder.own_open_max}",
        f"inventory        at most {recorder.inventory_max:.2f} of an agent's own bound",
        "spread           " + _shares(recorder.spreads),
        "depth            " + "  ".join(f"{d:.1f}" for d in recorder.mean_depth()),
        "                 (mean of levels 1 to 10 of a side, in typical order sizes)",
        "",
    ]
    for name, prices in (("mid price", middles), ("trade price", recorder.last_prices)):
        lines.append(f"returns of the {name}")
        lines += [_moments(prices, horizon) for horizon in HORIZONS_S if horizon * 20 < seconds]
        lines.append("")
    for horizon, lags in LAGS.items():
        returns = log_returns(middles, horizon)
        lags = tuple(lag for lag in lags if lag * 10 < len(returns))
        lines.append(f"autocorrelation of {horizon} s mid price returns (± two standard errors)")
        lines.append("  lag   " + "".join(f"{lag:>16}" for lag in lags))
        for label, values in (("r", returns), ("|r|", [abs(r) for r in returns])):
            found = [autocorrelation(values, lag) for lag in lags]
            lines.append(f"  {label:<6}" + "".join(f"{a:9.3f} ±{2 * e:.3f}" for a, e in found))
        lines.append("")
    return "\n".join(lines)


def verdicts(recorder: Recorder) -> list[tuple[str, bool, str]]:
    """Return the stylised facts: name, whether it holds, and the number that shows it."""
    middles, depth = recorder.middles, recorder.mean_depth()
    minutes, tens = log_returns(middles, 60), log_returns(middles, 10)
    kurtosis, normal = excess_kurtosis(minutes), excess_kurtosis(log_returns(middles, 1_800))
    sizes = [abs(r) for r in minutes]
    slow = {lag: autocorrelation(sizes, lag)[0] for lag in (1, 5, 15, 30)}
    linear = {
        (name, lag): autocorrelation(r, lag)
        for name, r in (("10 s", tens), ("1 min", minutes))
        for lag in (1, 2, 3)
    }
    worst = max(linear, key=lambda k: abs(linear[k][0]) / linear[k][1])
    seconds = sum(recorder.spreads.values())
    narrow = sum(n for s, n in recorder.spreads.items() if s <= 3) / seconds
    bounce = autocorrelation(log_returns(recorder.last_prices), 1)[0]
    counts = [float(n) for n in recorder.trades_per_s]
    fano = deviation(counts) ** 2 / (sum(counts) / len(counts))
    shown = "  ".join(f"{lag} min {a:.2f}" for lag, a in slow.items())
    return [
        ("fat tails: excess kurtosis of 1 min returns above 1", kurtosis > 1, f"{kurtosis:.1f}"),
        ("thinner tails at 30 min: lower excess kurtosis", normal < kurtosis, f"{normal:.1f}"),
        (
            "volatility clusters: |r| of 1 min correlates at lags of 1, 5 and 15 min",
            min(slow[1], slow[5], slow[15]) > 0.03 and slow[1] > slow[15],
            shown,
        ),
        (
            "no linear autocorrelation from 10 s up (|a| < 0.05 at lags 1 to 3)",
            all(abs(a) < 0.05 or abs(a) < 2 * e for a, e in linear.values()),
            f"worst {worst[0]} lag {worst[1]}: {linear[worst][0]:.3f} ±{2 * linear[worst][1]:.3f}",
        ),
        ("bid-ask bounce: 1 s returns of trade prices reverse", bounce < 0, f"{bounce:.2f}"),
        ("spread of 1 to 3 ticks most of the time", narrow > 0.8, f"{narrow:.1%}"),
        (
            "depth grows away from the touch",
            depth[4] > depth[0],
            f"{depth[0]:.1f} to {depth[4]:.1f}",
        ),
        (
            "trades come in bursts: variance over mean of trades per second",
            fano > 1.5,
            f"{fano:.1f}",
        ),
        ("neither side is ever empty", recorder.empty == 0, f"{recorder.empty} times"),
    ]


def _moments(prices: Sequence[float], horizon: int) -> str:
    returns = log_returns(prices, horizon)
    ordered = sorted(abs(r) for r in returns)
    return (
        f"  {horizon:>4} s  sd {deviation(returns) * 1e4:6.2f} bp   excess kurtosis "
        f"{excess_kurtosis(returns):7.2f}   tail exponent {hill(returns):5.2f}   "
        f"99.9% within {quantile(ordered, 0.999) * 1e4:6.1f} bp"
    )


def _shares(counts: Counter[int]) -> str:
    total = sum(counts.values())
    few = "  ".join(f"{s}: {counts[s] / total:.1%}" for s in sorted(counts) if s <= 5)
    more = sum(n for s, n in counts.items() if s > 5) / total
    return f"{few}  more: {more:.1%} (ticks; largest {max(counts)})"


def main() -> None:
    """Simulate, print the statistics and, with ``--save``, write the samples."""
    parser = argparse.ArgumentParser(
        prog="python -m fastbook_cli.sim.stylised_facts", description=__doc__
    )
    defaults = SimSettings()
    parser.add_argument("--hours", type=float, default=24.0, help="hours to simulate; default: 24")
    parser.add_argument(
        "--rate", type=float, default=defaults.rate, help="commands per second of simulated time"
    )
    parser.add_argument(
        "--volatility",
        type=float,
        default=defaults.volatility,
        help="per cent per day",
    )
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of the agents' decisions")
    parser.add_argument("--save", type=Path, metavar="FILE", help="where to write the samples")
    given = parser.parse_args()
    try:
        settings = SimSettings(rate=given.rate, volatility=given.volatility, seed=given.seed)
    except ValueError as error:
        parser.error(str(error))
    recorder = Recorder(settings)
    started_s = time.process_time()
    recorder.run(round(given.hours * 3_600))
    took_s = time.process_time() - started_s
    print(f"{given.hours:g} hours simulated in {took_s:.0f} s of one core, seed {given.seed}\n")
    print(report(recorder))
    for what, holds, number in verdicts(recorder):
        print(f"{'holds ' if holds else 'FAILS '} {what}: {number}")
    if given.save is not None:
        given.save.write_text(json.dumps(samples(recorder)))


def samples(recorder: Recorder) -> dict[str, object]:
    """Return the samples that the plot is drawn from."""
    return {
        "middles": recorder.middles,
        "trades_per_s": recorder.trades_per_s,
        "spreads": recorder.spreads,
        "depth": recorder.mean_depth(),
    }


if __name__ == "__main__":
    main()
