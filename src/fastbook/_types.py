"""The vocabulary of both books: sides, times in force, self-trade modes, event kinds, reasons.

Every value is a small integer, because ``COMMAND_DTYPE`` and ``EVENT_DTYPE`` records store the same
numbers.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Side(IntEnum):
    """The side of an order: a bid buys, an ask sells."""

    BID = 0
    ASK = 1


class TimeInForce(IntEnum):
    """What happens to the unfilled remainder of an order."""

    GTC = 0  # good till cancelled: the remainder rests; a market order's is discarded
    IOC = 1  # immediate or cancel: the remainder is discarded
    FOK = 2  # fill or kill: fills completely at once, or is discarded without a fill


class SelfTrade(IntEnum):
    """What happens when an order would trade with a resting order of the same owner.

    The mode of the incoming order decides. Owner 0 means "no owner" and is exempt. DECREMENT is
    Coinbase's "decrement and cancel".
    """

    ALLOW = 0
    CANCEL_NEWEST = 1  # the incoming order's remainder is discarded
    CANCEL_OLDEST = 2  # the resting order is cancelled, matching continues
    CANCEL_BOTH = 3  # the resting order is cancelled and the remainder is discarded
    DECREMENT = 4  # both lose the smaller of their quantities; one that has none left is cancelled


OP_LIMIT, OP_CANCEL, OP_REPLACE, OP_MARKET = range(4)

# The flags of a command; bits 1 to 3 are its self-trade mode.
FLAG_POST_ONLY = 1
FLAG_BUDGET = 16  # `quantity` of a market order is a budget, in ticks x lots
FLAG_DISPLAY = 32  # `new_order_id` of a limit order is its display: it is an iceberg

EVENT_FILL = 1  # a taker matched a maker
EVENT_REST = 2  # an order entered the book
EVENT_CANCEL = 3  # a resting order left the book unfilled
EVENT_REDUCE = 4  # a resting order was reduced in place and kept its priority
EVENT_DISCARD = 5  # the remainder of an incoming order ended without resting
EVENT_REJECT = 6  # a command was refused; the book is unchanged

REASON_NONE = 0
REASON_USER = 1  # cancelled on request
REASON_REPLACED = 2  # the old order of a replace that lost its priority
REASON_NO_LIQUIDITY = 3  # a market order ran out of makers
REASON_IOC = 4
REASON_FOK = 5
REASON_SELF_TRADE = 6
REASON_BUDGET = 7  # what is left of a market order's budget does not pay for another lot
REJECT_UNKNOWN_ORDER = 16
REJECT_DUPLICATE_ORDER = 17
REJECT_INVALID_PRICE = 18
REJECT_INVALID_QUANTITY = 19
REJECT_INVALID_ORDER = (
    20  # unknown op, side, time in force or flag; order id not positive; FOK with a budget
)
REJECT_POST_ONLY = 21  # a post-only order would have crossed
REJECT_OVERFLOW = 22  # the level's total quantity would exceed the book's bound
REJECT_INVALID_DISPLAY = 23  # of an order that is not GTC, or not in 1 .. quantity


class Order(NamedTuple):
    """A snapshot of a resting order; `price` in ticks, quantities in lots."""

    order_id: int
    side: int  # a Side's value
    price: int  # ticks
    quantity: int  # lots still open
    owner: int  # 0: none
    display: int = 0  # of an iceberg, the most lots that it shows; 0: none
    hidden: int = 0  # lots of `quantity` that an iceberg does not show

    @property
    def visible(self) -> int:
        """The lots of `quantity` that the order shows."""
        return self.quantity - self.hidden
