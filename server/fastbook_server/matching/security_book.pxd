# `security_book.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.order_progress cimport OrderProgress
from fastbook_server.matching.stops cimport Stops
from fastbook_server.values.events cimport Order
from fastbook_server.values.instruments cimport Instrument


@cython.final
cdef class SecurityBook:
    cdef public Instrument instrument
    cdef public int64_t seq, fill_id, agg_trade_id
    cdef public object book
    cdef public dict open
    cdef public Stops stops

    cpdef list enter(self, Order order, int64_t owner)
    cpdef int64_t rested(self, Order order, event) except -1
    cpdef int64_t advance(self) except -1
    @cython.locals(order=Order)
    cpdef restore(self, OrderProgress progress, int64_t owner)
    cdef _rest(self, Order order, int64_t remaining, int64_t owner, int64_t visible=*)


cdef list _accepted(list events)
