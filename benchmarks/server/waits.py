"""Rows about how long others wait while the server does something large for one user, in ms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import cycle

from benchmarks.server.processes import fastbook
from benchmarks.server.row import Figure, Measure, Open, Pair, Size, side

ORDERS = 100_000
DELETE_ALL = '{"op":"deleteAll","ref":"big"}'
LIST = '{"op":"orders","ref":"big"}'


def sweeps(count: int) -> Iterator[str]:
    """Yield market orders that take `count` orders, of either side in turn."""
    for taker in cycle(("bid", "ask")):
        yield (
            '{"op":"add","ref":"big","order":{"security":"S0",'
            f'"type":"{taker}","execType":"market","amount":{1.5 * count}}}}}'
        )


def beside(*commands: str, orders: int = ORDERS) -> Open:
    """Return what measures the longest round trip of a ping while a user with orders is served.

    Without `commands` the user's market orders sweep half of the orders.
    """

    @contextmanager
    def opened(size: Size) -> Iterator[Measure]:
        count = size.of(orders)
        each_time = cycle(commands) if commands else sweeps(count // 2)
        with ExitStack() as stack:
            ours = side(stack, fastbook())
            ours.connect(2)
            ours.trade(count, first=1)

            def measure() -> Pair:
                ours.load.ask("fill")
                answer = ours.load.ask(f"beside {next(each_time)}")
                return Pair(Figure(answer.max / 1_000, None, answer.busy), None)

            yield measure

    return opened
