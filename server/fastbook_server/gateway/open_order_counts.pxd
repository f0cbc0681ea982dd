# `open_order_counts.py` in C types.

cimport cython

from fastbook_server.values.events cimport (
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderHeld,
    OrderRested,
    OrderTriggered,
)
from fastbook_server.values.persisted cimport OpenOrder


cdef class OpenOrderCounts:
    cdef dict _counts

    @cython.locals(
        rested=OrderRested,
        cancelled=OrderCancelled,
        filled=OrderFilled,
        held=OrderHeld,
        triggered=OrderTriggered,
        amended=OrderAmended,
    )
    cpdef follow(self, events)
    @cython.locals(resting=OpenOrder)
    cdef _begin(self, recovered)
    cdef _began(self, str user_id)
    cdef _ended(self, str user_id)
