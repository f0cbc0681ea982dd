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

    @cython.locals(owner=Owner, execution=Execution, order=Order)
    cpdef Execution enter(self, SecurityBook market, OrderProgress progress, int64_t time_ms)
    @cython.locals(owner=Owner)
    cpdef list entered(
        self, SecurityBook market, OrderProgress progress, Execution execution, ref)
