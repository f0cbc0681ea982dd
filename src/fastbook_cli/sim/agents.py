"""The agents of a simulated market. Each decides from what it sees and its own random numbers.

An agent acts when it is called, returns the commands it asks for, and hears what became of its
orders. Nothing here knows of sockets, clocks or the exchange.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from random import Random

from fastbook_cli.sim.words import (
    BUY,
    SELL,
    AgentReport,
    Cancel,
    Intent,
    Limit,
    Look,
    Resting,
    VisibleMarket,
)
from fastbook_wire.words import SideName

TAKEN_SHARE_MAX = 0.2
"""The largest share of the visible quantity that a market order takes."""
LEVELS_SEEN = 10
"""How many levels of a side an agent looks at."""


class Agent:
    """A trader: its open orders by id, oldest first, and its inventory (bought less sold).

    `typical` is the typical order size in lots. The agent aims to keep its inventory within
    `inventory_max`; fills of orders that already rest may exceed it.
    """

    def __init__(self, random: Random, typical: int, inventory_max: int) -> None:
        self.random = random
        self.typical = typical
        self.inventory_max = inventory_max
        self.inventory = 0
        self.orders: dict[str, Resting] = {}

    def act(self, look: Look) -> list[Intent]:
        """Return the commands to send now, in this order."""
        raise NotImplementedError

    def hear(self, report: AgentReport) -> None:
        """Take note of the state of one of its orders."""
        self.inventory += report.filled if report.side == BUY else -report.filled
        if not report.rests:
            self.orders.pop(report.order_id, None)
            return
        known = self.orders.get(report.order_id)
        slot = report.slot if known is None else known.slot
        order = Resting(report.side, report.price, report.remaining, slot)
        self.orders[report.order_id] = order

    # ---- shared by several kinds --------------------------------------------------------------

    def choose_side(self) -> SideName:
        """Return a random side; the larger the inventory, the likelier the side that reduces it."""
        tilt = self.inventory / self.inventory_max
        return BUY if self.random.random() * 2.0 > 1.0 + tilt else SELL

    def some(self, times: float = 1.0) -> int:
        """Return a random size around `times` the typical one, rounded as people round."""
        lots = int(self.typical * times * min(12.0, self.random.lognormvariate(-0.32, 0.8)))
        if lots < 100:
            return max(1, lots)
        unit: int = 10 ** (len(str(lots)) - 2)
        return lots // unit * unit

    def take(self, look: Look, side: SideName, quantity: int) -> list[Intent]:
        """Return a market order, limited to what the book can bear; none into an empty side."""
        against = look.book.depth(SELL if side == BUY else BUY, LEVELS_SEEN)
        bearable = int(sum(lots for _, lots in against) * TAKEN_SHARE_MAX)
        quantity = min(quantity, bearable)
        return [VisibleMarket(side, quantity)] if quantity > 0 else []


class Maker(Agent):
    """Quotes both sides around the value, with larger and sparser levels further away.

    It takes stale orders of others, leans against its inventory, and widens its spread with how far
    the value moves between two of its calls: with volatility, and with its own slowness. It
    requotes a level that is off by more than a tolerance, first on the side that the price moves
    away from, so that it never trades with itself and always quotes both sides.
    """

    DISTANCES = (1.0, 1.8, 2.8, 4.0, 5.5, 7.5, 10.5, 15.0)
    SIZES = (0.3, 0.7, 1.4, 2.4, 3.6, 5.0, 7.0, 10.0)
    HALF_SPREAD_MIN = 1.0
    CAUTION = 0.8
    """How much the half spread widens, in typical moves between two calls."""
    LEAN = 1.0
    """How far the quotes shift at the largest inventory, in half spreads."""
    OPINION = 0.3
    """How far the makers' values differ from each other, in half spreads."""

    EAGER_MIN = 0.02
    """The smallest share of its sizes that it quotes on the side that adds to its inventory."""
    STALE = 0.3
    """How far beyond the value an order of another agent is stale, in half spreads."""
    PICKED_MAX = 5.0
    """The largest order against stale ones, in typical sizes."""

    def __init__(self, random: Random, typical: int, inventory_max: int) -> None:
        super().__init__(random, typical, inventory_max)
        self._value: float | None = None
        self._middle = 0.0
        self._moved2: float | None = None
        self._opinion = random.gauss(0.0, 1.0)

    def act(self, look: Look) -> list[Intent]:
        """Return the orders and cancels that move the quotes to where they should be."""
        moved = 0.0 if self._value is None else look.value - self._value
        self._value = look.value
        usual2 = (0.5 * round(look.unit)) ** 2 if self._moved2 is None else self._moved2
        self._moved2 = usual2 + 0.1 * (min(moved * moved, 25.0 * usual2 + 1.0) - usual2)
        self._opinion = 0.95 * self._opinion + 0.31 * self.random.gauss(0.0, 1.0)
        half = self.HALF_SPREAD_MIN + self.CAUTION * math.sqrt(self._moved2)
        full = max(-1.5, min(1.5, self.inventory / self.inventory_max))
        middle = look.value + half * (self.OPINION * self._opinion - self.LEAN * full)
        held: dict[tuple[SideName, int], str] = {}
        strays: list[Intent] = []
        for order_id, order in self.orders.items():
            key = (order.side, order.slot)
            if order.slot < 0 or key in held:
                strays.append(Cancel(order_id))
            else:
                held[key] = order_id
        first, second = (SELL, BUY) if middle >= self._middle else (BUY, SELL)
        self._middle = middle
        return [
            *strays,
            *self._quote(first, middle, half, full, held),
            *self._quote(second, middle, half, full, held),
            *self._pick_off(look, middle, half),
        ]

    def _pick_off(self, look: Look, middle: float, half: float) -> Iterable[Intent]:
        """Yield an order that takes the stale orders of others, if there are any."""
        margin = half * self.STALE
        full = self.inventory / self.inventory_max
        if look.ask < middle - margin and full < 1.0:
            side, price = BUY, math.ceil(middle - margin) - 1
            stale = [lots for p, lots in look.book.depth(SELL, LEVELS_SEEN) if p <= price]
        elif look.bid > middle + margin and full > -1.0:
            side, price = SELL, math.floor(middle + margin) + 1
            stale = [lots for p, lots in look.book.depth(BUY, LEVELS_SEEN) if p >= price]
        else:
            return
        most = int(self.typical * self.PICKED_MAX)
        yield Limit(side, max(1, price), min(most, sum(stale)), ioc=True)

    def _quote(
        self,
        side: SideName,
        middle: float,
        half: float,
        full: float,
        held: dict[tuple[SideName, int], str],
    ) -> Iterable[Intent]:
        """Yield the new levels of a side, then the cancels of those they replace."""
        loaded = full if side == BUY else -full
        eager = max(self.EAGER_MIN, 1.0 - max(0.0, loaded))
        sign = -1 if side == BUY else 1
        obsolete: list[Intent] = []
        last = 0
        for slot, (distance, size) in enumerate(zip(self.DISTANCES, self.SIZES, strict=True)):
            exact = middle + sign * half * distance
            target = math.floor(exact) if side == BUY else math.ceil(exact)
            if slot:
                target = min(target, last - 1) if side == BUY else max(target, last + 1)
            last = target
            target = max(1, target)
            order_id = held.get((side, slot))
            if order_id is not None:
                order = self.orders[order_id]
                tolerance = 0.4 * half * (distance - 1.0)
                off = abs(order.price - target)
                fair = self.typical * size * eager
                if off <= tolerance and fair / 8 <= order.quantity <= fair * 6:
                    last = order.price
                    continue
                obsolete.append(Cancel(order_id))
            yield Limit(side, target, self.some(size * eager), slot)
        yield from obsolete


class Noise(Agent):
    """Places orders near the touch, cancels some of them, and sometimes sends a market order."""

    TAKE = 0.16
    OPEN_TARGET = 12
    OPEN_MAX = 40

    def act(self, look: Look) -> list[Intent]:
        """Return one order or one cancel."""
        random = self.random
        side = self.choose_side()
        if random.random() < self.TAKE:
            return self.take(look, side, self.some(0.7))
        crowded = len(self.orders) / (2 * self.OPEN_TARGET)
        if random.random() < crowded or len(self.orders) >= self.OPEN_MAX:
            return [Cancel(self._least_wanted(look))]
        return [Limit(side, self._price(look, side), self.some())]

    def _price(self, look: Look, side: SideName) -> int:
        """Return a price at a heavy-tailed distance behind the touch, or just inside the spread."""
        random = self.random
        gap = look.ask - look.bid
        dice = random.random()
        if gap > 1 and dice < 0.12:
            distance = -random.randint(1, min(gap - 1, max(1, round(look.unit))))
        elif dice < 0.25:
            distance = 0
        else:
            distance = int(look.unit * min(60.0, 6.0 * random.paretovariate(2.0) - 5.0))
        return max(1, look.bid - distance if side == BUY else look.ask + distance)

    def _least_wanted(self, look: Look) -> str:
        """Return the id of its order farthest from the mid price, or of a random one."""
        orders = self.orders
        if self.random.random() < 0.3:
            middle = (look.bid + look.ask) / 2
            return max(orders, key=lambda i: abs(orders[i].price - middle))
        return self.random.choice(list(orders))


class Trend(Agent):
    """Follows the price: takes a position in the direction of a trend, and closes it afterwards."""

    FAST_S, SLOW_S = 30.0, 300.0
    THRESHOLD = 1.2
    """How far apart the averages must be, in units times the square root of ``FAST_S``."""

    def __init__(self, random: Random, typical: int, inventory_max: int) -> None:
        super().__init__(random, typical, inventory_max)
        self._fast = self._slow = 0.0
        self._seen_s = 0.0
        stretch = random.uniform(0.6, 1.8)
        self._fast_s, self._slow_s = self.FAST_S * stretch, self.SLOW_S * stretch

    def act(self, look: Look) -> list[Intent]:
        """Return a market order towards the position that the trend calls for, or nothing."""
        middle = (look.bid + look.ask) / 2
        if not self._slow:
            self._fast = self._slow = middle
        elapsed_s, self._seen_s = look.now_s - self._seen_s, look.now_s
        self._fast += (middle - self._fast) * (1.0 - math.exp(-elapsed_s / self._fast_s))
        self._slow += (middle - self._slow) * (1.0 - math.exp(-elapsed_s / self._slow_s))
        strength = (self._fast - self._slow) / (look.unit * math.sqrt(self._fast_s))
        wanted = 0
        if abs(strength) > self.THRESHOLD:
            wanted = int(math.copysign(self.inventory_max, strength))
        lacking = wanted - self.inventory
        if abs(lacking) < self.typical or self.random.random() < 0.5:
            return []
        return self.take(look, BUY if lacking > 0 else SELL, min(abs(lacking), self.some()))


class Large(Agent):
    """Works a large parent order now and then: in slices, or all at once in a sweep."""

    PAUSE_S = 1_200.0
    SLICE_PAUSE_S = 6.0
    PARENT = 12.0
    """Mean size of a parent order, in typical sizes."""
    SWEEPS = 0.3
    """The share of parent orders executed as a sweep."""
    SWEEP_SHARE_MAX = 0.3
    """The largest share of the visible quantity that a sweep takes."""
    SWEEP_UNITS = 12.0
    """How far a sweep reaches beyond the touch, in units."""

    def __init__(self, random: Random, typical: int, inventory_max: int) -> None:
        super().__init__(random, typical, inventory_max)
        self._next_s = random.expovariate(1 / self.PAUSE_S)
        self._left = 0
        self._side: SideName = BUY

    def act(self, look: Look) -> list[Intent]:
        """Return the next slice, or nothing while it waits."""
        random = self.random
        if look.now_s < self._next_s:
            return []
        if not self._left:
            self._side = self.choose_side()
            self._left = self.some(self.PARENT)
            if random.random() < self.SWEEPS:
                return self._sweep(look)
        taken = self.take(look, self._side, min(self._left, self.some(1.5)))
        for intent in taken:
            self._left -= intent.quantity if isinstance(intent, VisibleMarket) else 0
        pause_s = self.SLICE_PAUSE_S if self._left else self.PAUSE_S
        self._next_s = look.now_s + random.expovariate(1 / pause_s)
        return taken

    def _sweep(self, look: Look) -> list[Intent]:
        reach = round(look.unit * self.SWEEP_UNITS)
        price = look.ask + reach if self._side == BUY else max(1, look.bid - reach)
        against = look.book.depth(SELL if self._side == BUY else BUY, 2 * LEVELS_SEEN)
        quantity = min(self._left, int(sum(lots for _, lots in against) * self.SWEEP_SHARE_MAX))
        self._left = 0
        self._next_s = look.now_s + self.random.expovariate(1 / self.PAUSE_S)
        return [Limit(self._side, price, quantity, ioc=True)] if quantity else []
