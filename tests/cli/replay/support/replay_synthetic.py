"""Small recordings: random order flow around a price, with all that the real one has."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from fastbook_cli.replay.actions import Action
from fastbook_wire.words import SideName

HEADER = "id,timestamp,exchange_timestamp,price,volume,action,direction"


def rows(count: int, seed: int) -> list[str]:
    """Return so many rows of a recording; some are refused, some deletes come late or twice."""
    rng = random.Random(seed)
    placed: list[tuple[int, str, str, str]] = []
    result, time_ms = [], 1_700_000_000_000
    for line in range(count):
        time_ms += rng.randrange(-2, 12)  # it jitters, as real ones do
        stamps = f"{max(time_ms, 1_700_000_000_000)},{time_ms}"
        if placed and rng.random() < 0.45:
            number, price, volume, side = placed[
                -1 - int(min(rng.expovariate(0.05), len(placed) - 1))
            ]
            action = "changed" if rng.random() < 0.05 else "deleted"
            result.append(f"{number},{stamps},{price},{volume},{action},{side}")
        else:
            side = rng.choice(("bid", "ask"))
            ticks = 780_000 + round(rng.gauss(-4 if side == "bid" else 4, 8))
            price = rng.choices((f"{ticks / 10:.1f}", "0.0", "999999999.0"), (996, 2, 2))[0]
            volume = rng.choices((f"{rng.randrange(1, 10**8) / 10**8:.8f}", "0.0"), (998, 2))[0]
            placed.append((line + 1, price, volume, side))
            result.append(f"{line + 1},{stamps},{price},{volume},created,{side}")
    return result


def write(path: Path, lines: Sequence[str]) -> Path:
    """Write a recording of these rows."""
    path.write_text("\n".join((HEADER, *lines)) + "\n")
    return path


def actions(count: int, seed: int) -> list[Action]:
    """Return the actions of such a recording, made without reading a file."""
    result: list[Action] = []
    lines = rows(count, seed)
    for line, (row, after) in enumerate(itertools.pairwise([*lines, ""]), 2):
        order_id, time, exchange, price, volume, action, direction = row.split(",")
        side: SideName = "bid" if direction == "bid" else "ask"
        if action == "changed":
            continue
        number, time_ns = len(result) + 1, int(time) * 1_000_000
        if action == "deleted":
            result.append(Action("delete", number, line, time_ns, order_id, side))
            continue
        is_market = (price, side) in (("0.0", "ask"), ("999999999.0", "bid"))
        is_gone = after.split(",")[:3:2] == [order_id, exchange] and ",deleted," in after
        result.append(
            Action(
                "add", number, line, time_ns, order_id, side,
                None if is_market else Decimal(price), Decimal(volume),
                post_only=is_gone and not is_market, fills=(),
            )
        )  # fmt: skip
    return result
