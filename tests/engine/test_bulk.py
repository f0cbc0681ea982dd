"""Three million random commands: every event of the Cython book equals the plain book's.

Batches and scalar calls are both compared with it, each on a book of its own.

There are twelve flows of 250,000 commands, which several processes can share; the first is quick,
the others slow. A failure is reproduced by the name and seed of its flow.
`python -m benchmarks.compare` runs 100 million.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

import fastbook
from fastbook import (
    COMMAND_DTYPE,
    EVENT_FILL,
    EVENT_REJECT,
    FLAG_BUDGET,
    FLAG_DISPLAY,
    FLAG_POST_ONLY,
    OP_CANCEL,
    OP_LIMIT,
    OP_MARKET,
    OP_REPLACE,
    REJECT_POST_ONLY,
    TimeInForce,
    reference,
)

COMMANDS = 250_000
BATCH = 10_000
QUICK_FLOWS = 1
Commands = NDArray[np.void]


@dataclass(frozen=True)
class Flow:
    """The parameters of a random market."""

    name: str
    seed: int
    shares: tuple[float, float, float, float] = (0.50, 0.36, 0.10, 0.04)  # in the order of the ops
    spread: int = 30  # ticks by which prices stray from the middle
    swing: int = 0  # ticks by which the middle wanders per batch
    middle: int = 10_000
    quantity: int = 100
    id_step: int = 1
    id_start: int = 1
    owners: int = 4
    sweeps: float = 0.0  # share of quantities that take a whole side
    far: float = 0.0  # share of prices that are anywhere in 1 .. 2**63 - 1
    broken: float = 0.01  # share of records with a value that does not exist
    icebergs: float = 0.15  # share of orders that have a display
    ladder: int = 0  # single-order levels that come first, per side


FLOWS = (
    Flow("ordinary", 1),
    Flow("one_tick", 2, spread=0, quantity=20, icebergs=0.4),
    Flow("wide_swings", 3, spread=400, swing=20_000, middle=2**40),
    Flow("crashes", 4, shares=(0.80, 0.12, 0.05, 0.03), spread=4000, quantity=30, sweeps=2e-4),
    Flow("far_prices", 5, far=0.2, icebergs=0),
    Flow("sparse_ids", 6, id_step=10**12 + 39, spread=100),
    Flow("gaps_in_ids", 7, id_step=1500, id_start=2**62, shares=(0.52, 0.30, 0.14, 0.04)),
    # Large enough for prefetching.
    Flow("deep", 10, shares=(0.72, 0.18, 0.07, 0.03), spread=3000),
    Flow("deep_sparse_ids", 11, shares=(0.72, 0.18, 0.07, 0.03), spread=3000, id_step=10**12 + 39),
    Flow("crash_through_10000_levels", 9, spread=200, ladder=12_000, sweeps=5e-4),
    Flow("leaps", 12, spread=3000, swing=2_000_000, middle=2**40, far=0.02, icebergs=0),
    Flow("alone", 8, owners=2, shares=(0.55, 0.20, 0.15, 0.10), spread=10),
)


def commands_of(flow: Flow) -> Commands:
    """Return the commands of a flow: new orders get the next id, the rest picks recent ids."""
    random = np.random.default_rng(flow.seed)
    n = COMMANDS
    made = np.zeros(n, COMMAND_DTYPE)
    op = random.choice([OP_LIMIT, OP_CANCEL, OP_REPLACE, OP_MARKET], n, p=flow.shares)
    index = np.arange(n, dtype=np.int64)
    new_ids = flow.id_start + index * flow.id_step
    # Geometric, so mostly young orders, many of which are gone or never rested.
    ages = np.minimum(random.geometric(0.1, n), index)
    old_ids = flow.id_start + (index - ages) * flow.id_step
    aims_at_old = np.isin(op, [OP_CANCEL, OP_REPLACE]) | (random.random(n) < 0.005)
    keeps_id = random.random(n) < 0.3
    made["op"] = op
    made["side"] = random.integers(0, 2, n)
    made["tif"] = random.choice(3, n, p=[0.86, 0.07, 0.07])
    made["flags"] = (random.random(n) < 0.1) | random.integers(0, 5, n) << 1
    by_value = (op == OP_MARKET) & (random.random(n) < 0.4)
    made["flags"][by_value] |= FLAG_BUDGET
    made["owner"] = random.integers(0, flow.owners, n)
    made["order_id"] = np.where(aims_at_old, old_ids, new_ids)
    made["new_order_id"] = np.where(keeps_id, old_ids, new_ids)
    made["price"] = prices_of(flow, random, made["side"])
    stays = (op == OP_REPLACE) & (random.random(n) < 0.4)
    made["price"][stays] = made["price"][(index - ages)[stays]]
    made["quantity"] = random.integers(1, flow.quantity + 1, n)
    made["quantity"][random.random(n) < flow.sweeps] = 10**7
    made["quantity"][by_value] *= flow.middle + random.integers(-flow.spread, flow.spread + 1)
    break_some(flow, random, made)
    freeze_some(flow, random, made)
    build_ladder(flow, made)
    return made


def build_ladder(flow: Flow, made: Commands) -> None:
    """Begin with one order per price on both sides, then market orders through bids and asks."""
    if flow.ladder == 0:
        return
    n = 2 * flow.ladder
    step = np.arange(n) // 2 + 1
    side = np.arange(n) % 2
    made[:n] = np.zeros(n, COMMAND_DTYPE)
    made["side"][:n] = side
    made["order_id"][:n] = flow.id_start + np.arange(n) * flow.id_step
    made["price"][:n] = 20_000 + np.where(side == 0, -step, step)
    made["quantity"][:n] = 1
    made["op"][n : n + 2] = OP_MARKET
    made["side"][n : n + 2] = [1, 0]
    made["quantity"][n : n + 2] = flow.ladder - 500


def prices_of(
    flow: Flow, random: np.random.Generator, side: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """Return prices on either side of a wandering middle, some of them far away."""
    n = COMMANDS
    steps = random.integers(-flow.swing, flow.swing + 1, n // BATCH)
    middle = flow.middle + np.repeat(np.cumsum(steps), BATCH)
    away = random.integers(-flow.spread // 4, flow.spread + 1, n)
    prices = middle + np.where(side == 0, -away, away)
    far = random.integers(1, 2**63, n)
    return np.where(random.random(n) < flow.far, far, np.maximum(prices, 1))


def freeze_some(flow: Flow, random: np.random.Generator, made: Commands) -> None:
    """Make some orders icebergs of a few slices, as a taker fills each of them by itself."""
    chosen = random.random(COMMANDS) < flow.icebergs
    parts = random.integers(1, 9, COMMANDS)
    chosen &= made["op"] == OP_LIMIT
    made["flags"][chosen] |= FLAG_DISPLAY
    made["new_order_id"][chosen] = (made["quantity"] // parts)[chosen]
    # These would be filled in endless slices: an iceberg keeps its display when it is replaced, and
    # one of the wrong flags above is right for a limit order, whose display is then its new id.
    shows_id = (made["op"] == OP_LIMIT) & (made["flags"] == FLAG_DISPLAY) & ~chosen
    endless = ((made["op"] == OP_REPLACE) | shows_id) & (made["quantity"] > 10 * flow.quantity)
    made["quantity"][endless & (shows_id | (flow.icebergs > 0))] = flow.quantity
    wrong = chosen & (random.random(COMMANDS) < flow.broken)
    made["new_order_id"][wrong] = random.choice([-1, -(2**63), 2**63 - 1], int(wrong.sum()))
    made["tif"][chosen & (random.random(COMMANDS) < 0.9)] = 0


def break_some(flow: Flow, random: np.random.Generator, made: Commands) -> None:
    """Give some records a value that must be refused."""
    values = {
        "op": [4, 255],
        "side": [2, 255],
        "tif": [3, 255],
        "flags": [10, 16, 32, 64, 255],
        "order_id": [0, -1, -(2**63)],
        "new_order_id": [0, -7],
        "price": [0, -1, -(2**63)],
        "quantity": [0, -1, -(2**63), 2**63 - 1],
    }
    for name, bad in values.items():
        chosen = random.random(COMMANDS) < flow.broken / len(values)
        made[name][chosen] = random.choice(bad, int(chosen.sum()))


def call(book: fastbook.OrderBook, record: tuple[int, ...]) -> list[fastbook.Event] | None:
    """Execute a record by a scalar call; return None if the call raises."""
    op, side, tif, flags, owner, order_id, new_order_id, price, quantity = record
    own = {OP_LIMIT: FLAG_DISPLAY, OP_MARKET: FLAG_BUDGET}.get(op, 0)
    post_only, mode = bool(flags & FLAG_POST_ONLY), (flags & ~own) >> 1  # wrong flags: no mode
    by_value = flags & FLAG_BUDGET
    display = (new_order_id or -1) if flags & FLAG_DISPLAY else 0  # a call's 0 would mean none
    try:
        if op == OP_LIMIT:
            if (tif, flags, owner, display) == (0, 0, 0, 0):
                return book.add(order_id, side, price, quantity)
            return book.add(order_id, side, price, quantity, tif, post_only, owner, mode, display)
        if op == OP_CANCEL:
            return [book.cancel(order_id)]
        if op == OP_REPLACE:
            if flags == 0:
                return book.replace(order_id, new_order_id, price, quantity)
            return book.replace(order_id, new_order_id, price, quantity, post_only, mode)
        if op == OP_MARKET:
            if (tif, flags, owner) == (TimeInForce.IOC, 0, 0):
                return book.market(order_id, side, quantity)
            if by_value:
                return book.market(order_id, side, 0, owner, mode, tif, quantity)
            return book.market(order_id, side, quantity, owner, mode, tif)
    except (KeyError, ValueError):
        pass
    return None


def expect_call(
    book: fastbook.OrderBook, record: tuple[int, ...], expected: list[reference.Event]
) -> None:
    """Execute a record by a scalar call, which must return the expected events."""
    events = call(book, record)
    if events is None:
        assert [event.kind for event in expected] == [EVENT_REJECT]
        assert expected[0].reason != REJECT_POST_ONLY
    else:
        assert events == expected


def compare(flow: Flow) -> int:
    """Run a flow through both books and compare them; return the number of fills."""
    book, called, oracle = fastbook.OrderBook(), fastbook.OrderBook(), reference.OrderBook()
    fields = ["command", *reference.Event._fields]
    commands = commands_of(flow)
    fills = 0
    for start in range(0, COMMANDS, BATCH):
        batch = commands[start : start + BATCH]
        events = book.process(batch)
        expected = []
        for index, record in enumerate(batch.tolist()):
            answer = oracle.apply(reference.Command(*record))
            expect_call(called, record, answer)
            expected += [(index, *event) for event in answer]
        assert events[fields].tolist() == expected, f"flow {flow.name}, seed {flow.seed}"
        assert not events["pad"].any()
        book.check_invariants()
        called.check_invariants()
        oracle.check_invariants()
        assert list(book) == list(called) == list(oracle)
        fills += int((events["kind"] == EVENT_FILL).sum())
    return fills


@pytest.mark.parametrize(
    "flow",
    [
        pytest.param(flow, id=flow.name, marks=() if n < QUICK_FLOWS else pytest.mark.slow)
        for n, flow in enumerate(FLOWS)
    ],
)
def test_every_event_equals_the_plain_books(flow: Flow) -> None:
    assert compare(flow) > COMMANDS // 20, "the flow hardly trades: it tests little"
