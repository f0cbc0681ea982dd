"""Draw docs/market.png: what the market of a simulated day looks like.

    python -m fastbook_cli.sim.stylised_facts --save day.json
    python docs/draw_market.py day.json

Needs matplotlib, which is among what `make test` installs.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from fastbook_cli.sim.statistics import autocorrelation, deviation, log_returns

PICTURE = Path(__file__).with_name("market.png")
LAGS_S = (10, 20, 30, 60, 120, 180, 300, 600, 900, 1_800, 3_600)
RETURN_S = 10
BLUE, ORANGE, GREY = "#2563eb", "#d97706", "#888888"


def main(file: str) -> None:
    """Draw the samples of a file that the facts have saved."""
    day = json.loads(Path(file).read_text())
    plt.rcParams |= {"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    figure, axes = plt.subplots(3, 2, figsize=(9, 7.5), layout="constrained")
    _price(axes[0][0], day["middles"])
    returns = log_returns(day["middles"], RETURN_S)
    _in_time(axes[0][1], returns)
    _tails(axes[1][0], log_returns(day["middles"], 60))
    _memory(axes[1][1], returns)
    _depth(axes[2][0], day["depth"])
    _spread(axes[2][1], day["spreads"])
    figure.savefig(PICTURE, dpi=130)
    print(PICTURE)


def _price(axis: Any, middles: list[float]) -> None:
    every = 10
    hours = [i * every / 3_600 for i in range(len(middles[::every]))]
    axis.plot(hours, middles[::every], color=BLUE, linewidth=0.7)
    axis.set(title="mid price, ticks", xlabel="hours", xlim=(0, hours[-1]))


def _in_time(axis: Any, returns: list[float]) -> None:
    hours = [i * RETURN_S / 3_600 for i in range(len(returns))]
    axis.plot(hours, [r * 1e4 for r in returns], color=BLUE, linewidth=0.3)
    axis.set(title=f"returns of {RETURN_S} s, basis points", xlabel="hours", xlim=(0, hours[-1]))


def _tails(axis: Any, returns: list[float]) -> None:
    size = deviation(returns)
    scaled = [r / size for r in returns]
    bins = [i / 2 for i in range(-16, 17)]
    axis.hist(scaled, bins=bins, density=True, color=BLUE, alpha=0.6)
    grid = [i / 20 for i in range(-160, 161)]
    normal = [0.39894 * 2.71828 ** (-x * x / 2) for x in grid]
    axis.plot(grid, normal, color=ORANGE, linewidth=1, label="normal")
    axis.set(title="returns of 1 min, standard deviations", yscale="log", ylim=(2e-4, 1))
    axis.legend(frameon=False)


def _memory(axis: Any, returns: list[float]) -> None:
    for values, colour, label in (
        (returns, ORANGE, "r"),
        ([abs(r) for r in returns], BLUE, "|r|"),
    ):
        found = [autocorrelation(values, lag // RETURN_S) for lag in LAGS_S]
        middle, errors = [a for a, _ in found], [2 * e for _, e in found]
        axis.errorbar(LAGS_S, middle, errors, color=colour, marker="o", markersize=3, label=label)
    axis.axhline(0, color=GREY, linewidth=0.5)
    title = f"autocorrelation of {RETURN_S} s returns, two standard errors"
    axis.set(title=title, xscale="log", xlabel="lag, s")
    axis.legend(frameon=False)


def _depth(axis: Any, levels: list[float]) -> None:
    axis.bar(range(1, len(levels) + 1), levels, color=BLUE, alpha=0.8)
    axis.set(title="mean depth of a level, in ordinary orders", xlabel="level from the touch")


def _spread(axis: Any, counts: dict[str, int]) -> None:
    total = sum(counts.values())
    ticks = range(1, 8)
    axis.bar(ticks, [counts.get(str(t), 0) / total for t in ticks], color=BLUE, alpha=0.8)
    axis.set(title="spread, share of time", xlabel="ticks")


if __name__ == "__main__":
    main(sys.argv[1])
