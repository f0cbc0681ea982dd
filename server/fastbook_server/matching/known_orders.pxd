# `known_orders.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.order_progress cimport OrderProgress
from fastbook_server.matching.owners cimport Owners
from fastbook_server.matching.security_book cimport SecurityBook
from fastbook_server.values.ids cimport place


@cython.final
cdef class KnownOrders:
    cdef dict _by_number
    cdef Owners _owners

    @cython.locals(found=OrderProgress)
    cpdef OrderProgress open(self, str user_id, command, int64_t time_ms)
    cpdef OrderProgress remembered(self, str user_id, command, int64_t time_ms)
    @cython.locals(order_id=str, claim=int64_t, market=SecurityBook, found=OrderProgress)
    cdef OrderProgress _any(self, str user_id, command, int64_t time_ms)
