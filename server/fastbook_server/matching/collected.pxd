# `collected.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.values.events cimport (
    CancelRuleChanged, CommandRefused, FillReport, OrderReport, OrdersListed, Traded
)


@cython.final
cdef class Collected:
    cdef readonly int64_t commands, since_ms, until_ms, weight
    cdef readonly list stored, orders, trades, reports, refused, cancel_rules

    @cython.locals(weight=int64_t)
    cpdef int64_t add(self, list events, int64_t time_ms) except -1
    cdef int64_t _add_answer(self, event) except -1
