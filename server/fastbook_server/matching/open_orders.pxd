# `open_orders.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.expiries cimport Expiries
from fastbook_server.matching.order_progress cimport OrderProgress
from fastbook_server.matching.owners cimport Owner, Owners
from fastbook_server.matching.security_book cimport SecurityBook
from fastbook_server.values.events cimport Order, OrderCancelled


@cython.final
cdef class OpenOrders:
    cdef readonly Expiries expiries
    cdef Owners _owners

    cpdef came(self, SecurityBook market, Owner owner, OrderProgress progress)
    @cython.locals(owner=Owner)
    cpdef left(
        self, SecurityBook market, OrderProgress progress, int64_t time_ms,
        OrderProgress taker=*)
    @cython.locals(order=Order, level=int64_t, shown=int64_t, held=bint)
    cpdef OrderCancelled cancel(
        self, SecurityBook market, OrderProgress progress, int64_t n, int64_t time_ms, str reason)
