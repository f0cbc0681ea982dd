"""The order book in Cython: price-time priority matching, one call or a whole batch at a time.

Units: prices are integer ticks and quantities integer lots, both 64-bit.
Complexity: n is the number of fills and self-trade cancels that a command causes. The number of
orders and levels does not matter, except that a page of 16 neighbouring prices which is not among
the 65,536 around the market is found in at most 59 steps. Each of these also pays for up to eight
pages that change places when the market has moved.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, final

from typing_extensions import Buffer

from fastbook._types import Order

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

@final
class Event:
    """One effect of a command: a read-only record of ten integers.

    Every event has `side`, `order_id`, `price` and `quantity`. The `kind` decides which other
    fields it has; the rest are 0:
      - EVENT_FILL, a taker matched a maker: `maker_order_id`, `remaining`, `maker_remaining`, and
        the `level_quantity` at the maker's price.
      - EVENT_REST, an order entered the book: `remaining` (equal to `quantity`), `level_quantity`.
      - EVENT_CANCEL, a resting order left the book unfilled: `reason`, `level_quantity`.
      - EVENT_REDUCE, a resting order was reduced in place: `maker_order_id` is its previous id,
        `quantity` the reduction; `reason`, `remaining`, `level_quantity`.
      - EVENT_DISCARD, the remainder of an incoming order ended without resting: `reason`. `price`
        is 0 for a market order. `remaining` is 0, unless DECREMENT took only a part away;
        `quantity` may be 0 if the order had a budget.
      - EVENT_REJECT, a command was refused and the book is unchanged: `reason`; `maker_order_id`
        is the old order of a replace. `side`, `price` and `quantity` are the command's if it has
        them; for a cancel or replace, `side` is that of the resting order, 0 if there is none.

    An event equals any event or tuple with the same ten values.
    """

    __match_args__ = (
        "kind",
        "side",
        "reason",
        "order_id",
        "maker_order_id",
        "price",
        "quantity",
        "remaining",
        "maker_remaining",
        "level_quantity",
    )

    def __init__(
        self,
        kind: int,
        side: int,
        reason: int,
        order_id: int,
        maker_order_id: int,
        price: int,
        quantity: int,
        remaining: int,
        maker_remaining: int,
        level_quantity: int,
    ) -> None: ...
    @property
    def kind(self) -> int:
        """The kind of event: one of the EVENT_ constants."""
    @property
    def side(self) -> int:
        """The side of the order `order_id`; in a fill, the taker's."""
    @property
    def reason(self) -> int:
        """The reason: one of the REASON_ or REJECT_ constants."""
    @property
    def order_id(self) -> int:
        """The order concerned: in a fill the taker, in a replace the new order."""
    @property
    def maker_order_id(self) -> int:
        """The resting order of a fill, or the old order of a replace."""
    @property
    def price(self) -> int:
        """The price in ticks; in a fill, the maker's."""
    @property
    def quantity(self) -> int:
        """The lots filled, rested, cancelled, removed, discarded or refused."""
    @property
    def remaining(self) -> int:
        """The lots of the order `order_id` still open after the event."""
    @property
    def maker_remaining(self) -> int:
        """The lots of the maker still open after a fill."""
    @property
    def level_quantity(self) -> int:
        """The visible lots at this price, on the resting order's side, after the event."""
    def __iter__(self) -> Iterator[int]:
        """Iterate over the ten fields in order."""
    def __len__(self) -> int:
        """Return 10, the number of fields."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class OrderBook:
    """The order book of one security, with price-time priority.

    Orders trade at the maker's price: best price first, oldest first within a price. Order ids,
    prices and quantities run from 1 to 2**63 - 1, and an incoming id must not be resting. A command
    that would raise the total at a price of one side above `level_quantity_max` is refused.

    A refused scalar call raises and leaves the book unchanged. Only a post-only order that would
    cross does not raise, because it is not a mistake: the call returns one EVENT_REJECT. In a batch
    every refusal is an EVENT_REJECT.

    An iceberg shows at most its `display`; the rest of its quantity is hidden. Depth, totals and
    `level_quantity` count what is shown. A fill takes at most the slice that is shown. If hidden
    lots remain after it is used up, the next slice of at most `display` lots queues behind all
    other orders at the price, as at Nasdaq, CME and Binance. Each slice causes an EVENT_FILL of its
    own: an order that trades all of an iceberg causes as many as that has slices.

    A book serves one thread at a time. While `process` runs, every call from another thread raises
    RuntimeError.
    """

    def __init__(self, level_quantity_max: int = 9223372036854775807) -> None:
        """Create an empty book; a level holds at most `level_quantity_max` lots.

        Raises:
            ValueError: `level_quantity_max` is not in 1 .. 2**63 - 1.
            TypeError: `level_quantity_max` is not an integer.
        """

    def add(
        self,
        order_id: int,
        side: int,
        price: int,
        quantity: int,
        tif: int = 0,
        post_only: bool = False,
        owner: int = 0,
        self_trade: int = 0,
        display: int = 0,
    ) -> list[Event]:
        """Match a limit order, then rest what remains if its time in force allows.

        The events are the fills (and self-trade cancels) in order of execution, then one EVENT_REST
        or EVENT_DISCARD if a quantity remains. `price` is in ticks, `quantity` in lots.

        `tif`: GTC rests the remainder; IOC discards it (REASON_IOC); FOK first checks whether the
        order would fill completely, and otherwise discards it with no other effect (REASON_FOK).
        What an FOK order may count on depends on `self_trade`:
          - ALLOW, or owner 0: everything that crosses.
          - CANCEL_OLDEST: everything that crosses except its owner's orders. If that is enough,
            its owner's orders ahead of the last maker are cancelled along the way.
          - CANCEL_NEWEST, CANCEL_BOTH and DECREMENT: everything ahead of the first order of its
            owner, which would end the order or take a part of it away.

        `post_only`: an order that would cross, even with an order of its own owner, causes one
        EVENT_REJECT (REJECT_POST_ONLY). A post-only IOC or FOK order that does not cross is
        discarded.

        `self_trade`: what happens when the order meets one of the same `owner`; owner 0 means "no
        owner" and is exempt. ALLOW trades; CANCEL_NEWEST discards the remainder
        (REASON_SELF_TRADE); CANCEL_OLDEST cancels the resting order (REASON_SELF_TRADE) and
        continues; CANCEL_BOTH does both. DECREMENT takes the smaller of the two open quantities
        away from both and continues: the resting order causes an EVENT_REDUCE, or an EVENT_CANCEL
        if nothing of it is left, and then the incoming one an EVENT_DISCARD with the part that it
        lost (all with REASON_SELF_TRADE).

        `display`: an iceberg shows at most so many lots at rest. Only a GTC order may be one. It
        matches with its whole quantity first; FOK orders count what it hides.

        Time: O(1 + n) for n fills and self-trade cancels. An FOK order also visits each level it
        needs, or each order at these levels if `self_trade` is not ALLOW.

        Raises:
            ValueError: `order_id`, `price` or `quantity` is not in 1 .. 2**63 - 1; `order_id` is
                already resting; `side`, `tif`, `self_trade` or `owner` is out of range; `display`
                is not 0 .. `quantity`, or is given for an order that is not GTC; or a GTC order
                would raise the total at its price above the book's `level_quantity_max`. Its
                whole quantity counts, as if it did not match.
            TypeError: an argument is not an integer.
            MemoryError: the book is consistent, but part of the order may have been executed.
        """

    def rest(
        self,
        order_id: int,
        side: int,
        price: int,
        quantity: int,
        owner: int = 0,
        display: int = 0,
        visible: int = 0,
    ) -> Event:
        """Rest an order as it stood in another book; return its EVENT_REST. It never matches.

        Call this in priority order within each price. `quantity` is what is still open.

        An iceberg has a `display` and shows a slice of `visible` lots (0: a fresh one, as much as
        `display` and `quantity` allow). Of one that came to rest with r lots, less those that were
        taken away by `replace` and DECREMENT, and of which f have been filled since, the slice is
        min((f // display + 1) * display, r) - f.

        Raises:
            ValueError: the order would cross the other side; `visible` is not in 1 .. `display` or
                exceeds `quantity`; or an argument is one that `add` refuses.
            TypeError: an argument is not an integer.
        """

    def market(
        self,
        order_id: int,
        side: int,
        quantity: int = 0,
        owner: int = 0,
        self_trade: int = 0,
        tif: int = 1,
        budget: int = 0,
    ) -> list[Event]:
        """Match a market order at any price, then discard what remains (REASON_NO_LIQUIDITY).

        `tif`: FOK fills the whole order or discards it with no other effect (REASON_FOK), by the
        rules of `add`. GTC and IOC are the same, because a market order never rests.

        `budget`: with it, and no `quantity`, the order trades by value, in ticks x lots. A bid buys
        whole lots as long as the budget pays for them at the best price; an ask sells them until it
        has earned the budget or as near below as whole lots allow; `level_quantity_max` lots at
        most. `remaining` is 0 in all its events. The last is an EVENT_DISCARD of quantity 0, which
        tells why it ended: REASON_BUDGET (it pays for no further lot), REASON_NO_LIQUIDITY or
        REASON_SELF_TRADE. DECREMENT takes what the budget pays for from both. FOK is refused.

        Other arguments, events, time and exceptions are those of `add`.
        """

    def cancel(self, order_id: int) -> Event:
        """Cancel a resting order; return its EVENT_CANCEL (REASON_USER). O(1).

        Raises:
            KeyError: `order_id` is not resting.
            TypeError: `order_id` is not an integer.
        """

    def replace(
        self,
        order_id: int,
        new_order_id: int,
        price: int,
        quantity: int,
        post_only: bool = False,
        self_trade: int = 0,
    ) -> list[Event]:
        """Give a resting order a new price, open quantity and id, which may be the old one.

        At the same price and with no larger quantity the order keeps its priority: the one event is
        an EVENT_REDUCE, and an iceberg loses hidden lots first. Otherwise the old order leaves the
        book (EVENT_CANCEL, REASON_REPLACED), and the new one enters as a GTC limit order of the
        same side and owner, which may match. An iceberg keeps its `display`, but at most its new
        quantity. A `post_only` replace that would cross causes one EVENT_REJECT, and the old order
        stays.

        Time and exceptions are those of `add`, except for:

        Raises:
            KeyError: `order_id` is not resting.
            ValueError: also if `new_order_id` belongs to another resting order.
        """

    def go_on(self) -> list[Event]:
        """Continue the call that is `unfinished`; return its next events.

        Raises:
            RuntimeError: there is none.
            MemoryError: what is left of the order is lost; the book is consistent.
        """

    def process(self, commands: NDArray[np.void] | Buffer) -> NDArray[np.void]:
        """Execute a batch of COMMAND_DTYPE records; return the events as EVENT_DTYPE records.

        The GIL is released during the batch. No record raises: a refused command causes an
        EVENT_REJECT. The `command` of an event is the index of the command that caused it.

        `commands` is an array of COMMAND_DTYPE or any C-contiguous buffer of such 40-byte records,
        at most 2**30 of them. The result owns the memory of its events, so no copy is made, and it
        stays valid and unchanged whatever happens to the book.

        DANGER: no other thread may write to `commands` until this returns.

        Raises:
            TypeError: `commands` is an array of another dtype, or not a buffer.
            ValueError: `commands` is not contiguous, is not a whole number of records, or has more
                than 2**30 of them.
            MemoryError: there is no memory for the events, which are lost. The book is consistent;
                it has executed the commands before the one that failed, and perhaps part of that.
            RuntimeError: another thread is running `process` on this book.
            ImportError: NumPy is not installed.
        """

    def depth(self, n: int = 0) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the best `n` levels (0: all) of each side: a list of bids and a list of asks.

        A level is (price, total) in ticks and visible lots; the best price comes first.
        O(levels returned).
        """

    def levels(self, side: int) -> Iterator[tuple[int, int]]:
        """Iterate over the levels of a side as (price, total), best price first.

        The levels are collected up front, so the book may change during the iteration.
        """

    def level(self, side: int, price: int) -> int:
        """Return the visible lots at a price, 0 if nothing rests there. O(1)."""

    def orders_at(self, side: int, price: int) -> list[Order]:
        """Return the orders at a price, in the order in which they will trade; perhaps none."""

    def snapshot(self) -> NDArray[np.void]:
        """Return all resting orders as ORDER_DTYPE records, in the order of `__iter__`. O(orders).

        The array is an independent copy. A book can also be pickled or copied, without NumPy.

        Raises:
            ImportError: NumPy is not installed.
        """

    @staticmethod
    def restore(
        orders: NDArray[np.void] | Buffer, level_quantity_max: int = 9223372036854775807
    ) -> OrderBook:
        """Return a new book with the given resting orders, without matching them. O(orders).

        `orders` is an array of ORDER_DTYPE or a buffer of such 48-byte records. Prices and sides
        may come in any order; at each price the record that comes first has priority.

        Raises:
            ValueError: a record has an id, side, price, quantity, display or hidden part that no
                resting order can have; an id appears twice; the total at a price exceeds
                `level_quantity_max`; a bid crosses an ask; or `orders` is not contiguous or not a
                whole number of records.
            TypeError: `orders` is an array of another dtype, or not a buffer.
        """

    @property
    def best_bid(self) -> tuple[int, int] | None:
        """The best bid level as (price, total), or None. O(1)."""
    @property
    def best_ask(self) -> tuple[int, int] | None:
        """The best ask level as (price, total), or None. O(1)."""
    @property
    def level_quantity_max(self) -> int:
        """The most lots that may rest at one price of one side."""
    @property
    def events_at_once(self) -> int:
        """After so many events a call to `add`, `market` or `replace` stops; 0: it never does.

        What it returns is then a part of its events, and it is `unfinished`. So an order that meets
        a great many others need not keep a program waiting. A new book has 0.
        """
    @events_at_once.setter
    def events_at_once(self, count: int, /) -> None: ...
    @property
    def unfinished(self) -> bool:
        """Whether the last call has stopped; until `go_on` has finished it, others are refused.

        The order does not rest meanwhile, and what it has met is gone. Any other call raises
        RuntimeError.
        """
    def get(self, order_id: int) -> Order | None:
        """Return a resting order in its current state, or None if it is not resting. O(1)."""

    def check_invariants(self) -> None:
        """Verify the consistency of the whole book, in tests and after recovery. O(orders).

        Raises:
            AssertionError: the book is broken; the message says where.
        """

    def __len__(self) -> int:
        """Return the number of resting orders."""

    def __contains__(self, order_id: object, /) -> bool:
        """Return whether an order is resting. O(1)."""

    def __iter__(self) -> Iterator[Order]:
        """Iterate over all resting orders: bids, then asks, by price (best first), then by age.

        The orders are collected up front, so the book may change during the iteration.
        """

def _quick_entries() -> int:
    """Return how many methods of OrderBook have a quick entry: 4, `add` to `market`, or fewer.

    A method without one works all the same, but takes longer per call: only this tells.
    """
