# `placing.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.execution cimport Execution
from fastbook_server.matching.open_orders cimport OpenOrders
from fastbook_server.matching.order_progress cimport OrderProgress
from fastbook_server.matching.owners cimport Owner, Owners
from fastbook_server.matching.security_book cimport SecurityBook
from fastbook_server.values.events cimport Order


@cython.final
cdef class Placing:
    cdef int64_t _epoch
    cdef Owners _owners
    cdef OpenOrders _open_orders

    @cython.locals(owner=Owner, execution=Execution)
    cpdef list enter(
        self, SecurityBook market, OrderProgress progress, int64_t time_ms, ref)
    cpdef list run_triggered(self, SecurityBook market, int64_t time_ms)
