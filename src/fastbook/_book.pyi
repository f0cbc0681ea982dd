"""The order book in Cython: price-time priority matching, one call or a whole batch at a time.

Units: a price is an integer number of ticks, a quantity an integer number of lots; both are 64-bit.
Complexity: n stands for the fills and self-trade cancels that a command causes. Nothing depends on
how many orders or levels there are, but that a price page (16 neighbouring prices) which
holds no level yet is found in at most 59 steps.
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
    """One thing that happened, with the fields below in this order; read-only.

    Beside `side`, `order_id`, `price` and `quantity` it has, by kind (all other fields are 0):
      - EVENT_FILL, a taker met a maker: `maker_order_id`, `remaining`, `maker_remaining`, and the
        `level_quantity` of the maker's price.
      - EVENT_REST, an order entered the book: `remaining` (the same as `quantity`),
        `level_quantity`.
      - EVENT_CANCEL, a resting order left: `reason`, `level_quantity`.
      - EVENT_REDUCE, a resting order shrank in place: `maker_order_id` is its id before, `quantity`
        what was taken off; `remaining`, `level_quantity`.
      - EVENT_DISCARD, an incoming order's remainder ended without having rested: `reason`. `price`
        is 0 for a market order.
      - EVENT_REJECT, a command was refused, the book is as it was: `reason`; `maker_order_id` is
        the old order of a replace. `side`, `price` and `quantity` are the command's where it has
        them; of a cancel or replace `side` is the resting order's, 0 if there is none.

    An event equals another one, and any tuple, with the same ten values.
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
        """One of the EVENT_ numbers."""
    @property
    def side(self) -> int:
        """The side of the order `order_id`: in a fill the taker's."""
    @property
    def reason(self) -> int:
        """One of the REASON_ and REJECT_ numbers."""
    @property
    def order_id(self) -> int:
        """The order that the event is about: in a fill the taker, in a replace the new order."""
    @property
    def maker_order_id(self) -> int:
        """The resting order of a fill; the old order of a replace."""
    @property
    def price(self) -> int:
        """Ticks: in a fill the maker's price."""
    @property
    def quantity(self) -> int:
        """Lots: filled, resting, withdrawn, taken off, discarded or refused."""
    @property
    def remaining(self) -> int:
        """Lots of the order `order_id` that are still open after the event."""
    @property
    def maker_remaining(self) -> int:
        """Lots of the maker that are still open after a fill."""
    @property
    def level_quantity(self) -> int:
        """Lots in all at this price, on the side where it rests, after the event."""
    def __iter__(self) -> Iterator[int]:
        """Return the ten fields in order."""
    def __len__(self) -> int:
        """Return 10."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class OrderBook:
    """One security's order book.

    An order trades at its maker's price, best price first and oldest first within a price. Any id
    from 1 to 2**63 - 1 that is not resting, any price and quantity from 1 to 2**63 - 1 is legal.
    What would raise a price's total over 2**63 - 1 is refused.

    A refused scalar call raises and leaves the book as it was, except for a post-only order that
    would cross: that is no mistake, so it gives one EVENT_REJECT. In a batch every refusal is an
    EVENT_REJECT.

    A book serves one thread at a time. While `process` runs, every call from another thread raises
    a RuntimeError.
    """

    def __init__(self) -> None:
        """Make an empty book."""

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
    ) -> list[Event]:
        """Match a limit order, then rest what remains if its time in force allows.

        The events are its fills (and self-trade cancels) in order, then one EVENT_REST or
        EVENT_DISCARD if something remains.

        `tif`: GTC rests; IOC discards the remainder (REASON_IOC); FOK first sees whether it would
        fill whole, and if not is discarded with no other change (REASON_FOK). What an FOK may count
        on depends on `self_trade`:
          - ALLOW, or owner 0: all that crosses.
          - CANCEL_OLDEST: all that crosses but its owner's. If that is enough, then its owner's
            orders which stand before the last maker are cancelled on the way.
          - CANCEL_NEWEST and CANCEL_BOTH: what stands before the first order of its owner.

        `post_only`: an order that would cross, be it against its own owner's, gives one
        EVENT_REJECT (REJECT_POST_ONLY). With IOC or FOK it can only be discarded.

        `self_trade`: what happens when it meets an order of the same `owner` (0: nobody, never the
        same). ALLOW trades; CANCEL_NEWEST discards the remainder (REASON_SELF_TRADE);
        CANCEL_OLDEST cancels the resting order (REASON_SELF_TRADE) and goes on; CANCEL_BOTH does
        both.

        Time: O(1 + n); an FOK also looks at each level that it needs, or at each order there
        if `self_trade` is not ALLOW.

        Raises:
            ValueError: `order_id`, `price` or `quantity` is not in 1 .. 2**63 - 1; `order_id` is
                resting; `side`, `tif`, `self_trade` or `owner` has no such value; or a GTC order
                would bring its price's total over 2**63 - 1 (judged with its whole quantity, before
                it matches: an order that meets a level at its own price and side cannot match).
            TypeError: an argument is not an integer.
            MemoryError: the book is whole, but may have taken a part of the order.
        """

    def market(
        self, order_id: int, side: int, quantity: int, owner: int = 0, self_trade: int = 0
    ) -> list[Event]:
        """Match an order at any price; what remains is discarded (REASON_NO_LIQUIDITY).

        Arguments, events, time and errors as in `add`.
        """

    def cancel(self, order_id: int) -> Event:
        """Withdraw a resting order (EVENT_CANCEL, REASON_USER). O(1).

        Raises:
            KeyError: no such order rests.
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
        """Give a resting order a new open quantity, a new price and an id that may be the old one.

        At the same price and with no larger quantity it keeps its priority: one EVENT_REDUCE. Else
        the old order leaves (EVENT_CANCEL, REASON_REPLACED), and the new one comes in as a GTC
        limit order of the same side and owner, which may match. A `post_only` replace that would
        cross gives one EVENT_REJECT, and the old order stays. Time and further errors as in `add`.

        Raises:
            KeyError: `order_id` does not rest.
            ValueError: also if `new_order_id` belongs to another resting order.
        """

    def process(self, commands: NDArray[np.void] | Buffer) -> NDArray[np.void]:
        """Carry out a batch of COMMAND_DTYPE records; return the events as EVENT_DTYPE records.

        The GIL is released meanwhile. Nothing about a record raises: what is refused gives an
        EVENT_REJECT, and each event's `command` is its command's index. `commands` is an array of
        COMMAND_DTYPE or any C-contiguous buffer of such 40-byte records, at most 2**30. The result
        looks at memory of its own, without a copy: it stays valid and unchanged whatever the book
        does.

        DANGER: do not let another thread write to `commands` before this returns.

        Raises:
            TypeError: `commands` is an array of something else, or no buffer.
            ValueError: `commands` is not contiguous, or has an incomplete record.
            MemoryError: no room for the events. The book is whole and has taken the commands
                before the one that failed, and perhaps a part of that.
            RuntimeError: another thread is in `process` of this book.
            ImportError: NumPy is not installed.
        """

    def depth(self, n: int = 0) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return the best `n` levels (0: all) of bids and of asks as (price, total), best first."""

    def levels(self, side: int) -> Iterator[tuple[int, int]]:
        """Return the levels of a side as (price, total), best first.

        They are collected at once, so the book may change meanwhile.
        """

    def orders_at(self, side: int, price: int) -> list[Order]:
        """Return the orders at a price, the oldest first; empty if there are none."""

    def snapshot(self) -> NDArray[np.void]:
        """Return all resting orders as ORDER_DTYPE records, in the order of `__iter__`. O(orders).

        The array is a copy of its own. A book can also be pickled and copied; that needs no NumPy.

        Raises:
            ImportError: NumPy is not installed.
        """

    @staticmethod
    def restore(orders: NDArray[np.void] | Buffer) -> OrderBook:
        """Return a new book of resting orders: ORDER_DTYPE records, or a buffer of such. O(orders).

        Prices and sides may come in any order; at each price the record that comes first trades
        first. Nothing matches and there are no events.

        Raises:
            ValueError: a record holds an id, side, price or quantity that no resting order can
                have, an id comes twice, a price's total exceeds 2**63 - 1, a bid meets an ask, or
                the records are not whole and contiguous.
            TypeError: `orders` is an array of something else, or no buffer.
        """

    @property
    def best_bid(self) -> tuple[int, int] | None:
        """The best bid level as (price, total), or None. O(1)."""
    @property
    def best_ask(self) -> tuple[int, int] | None:
        """The best ask level as (price, total), or None. O(1)."""
    def get(self, order_id: int) -> Order | None:
        """Return a resting order as it is now, or None. O(1)."""

    def check_invariants(self) -> None:
        """Look through the whole book; for tests and after recovery. O(orders).

        Raises:
            AssertionError: something is broken; the text says what.
        """

    def __len__(self) -> int:
        """Return the number of resting orders."""

    def __contains__(self, order_id: object, /) -> bool:
        """Tell whether an order rests. O(1)."""

    def __iter__(self) -> Iterator[Order]:
        """Return all resting orders: bids, then asks, each best price first, then oldest first.

        They are collected at once, so the book may change meanwhile.
        """

def _quick_entries() -> int:
    """Return how many methods of OrderBook have a quick entry: 4, `add` to `market`, or fewer.

    A method without one works all the same, but takes longer per call: only this tells.
    """
