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
    cdef _began(self, str user_id)
    cdef _ended(self, str user_id)
