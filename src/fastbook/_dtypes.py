"""The NumPy records of the batch calls; imported on first use, so scalar calls need no NumPy."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

__all__ = ["COMMAND_DTYPE", "EVENT_DTYPE", "ORDER_DTYPE", "ndarray"]

# 40 bytes. Fields that an op does not use are ignored. The FLAG constants tell the flags.
COMMAND_DTYPE = np.dtype(
    [
        ("op", "u1"),
        ("side", "u1"),
        ("tif", "u1"),
        ("flags", "u1"),  # bit 0: post only; bits 1 to 3: self-trade mode; others: see below
        ("owner", "u4"),
        ("order_id", "i8"),
        ("new_order_id", "i8"),  # of a replace; with FLAG_DISPLAY, the display of a limit order
        ("price", "i8"),
        ("quantity", "i8"),  # lots; with FLAG_BUDGET, the budget of a market order: ticks x lots
    ]
)

# 64 bytes: one cache line.
EVENT_DTYPE = np.dtype(
    [
        ("kind", "u1"),
        ("side", "u1"),
        ("reason", "u1"),
        ("pad", "u1"),
        ("command", "u4"),  # index in its batch of the command that caused it
        ("order_id", "i8"),
        ("maker_order_id", "i8"),
        ("price", "i8"),
        ("quantity", "i8"),
        ("remaining", "i8"),
        ("maker_remaining", "i8"),
        ("level_quantity", "i8"),
    ]
)

# 48 bytes: a resting order, as `OrderBook.snapshot` returns and `OrderBook.restore` takes it.
ORDER_DTYPE = np.dtype(
    [
        ("order_id", "i8"),
        ("price", "i8"),
        ("quantity", "i8"),
        ("owner", "u4"),
        ("side", "u1"),
        ("pad", "u1", 3),
        ("display", "i8"),  # of an iceberg; 0: none
        ("hidden", "i8"),
    ]
)
