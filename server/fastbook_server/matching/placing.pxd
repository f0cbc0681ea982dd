# `placing.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.execution cimport Execution
from fastbook_server.matching.open_orders cimport OpenOrders
from fastbook_server.matching.order_progress cimport OrderProgress
from fastbook_server.matching.owners cimport Owner, Owners
from fastbook_server.matching.security_book cimport SecurityBook
from fastbook_server.matching.terms cimport Terms
from fastbook_server.values.events cimport Order
from fastbook_server.values.ids cimport encode


@cython.final
cdef class Placing:
    cdef int64_t _epoch
    cdef Owners _owners
    cdef OpenOrders _open_orders
    cdef object _affords

    @cython.locals(number=int64_t, seq=int64_t)
    cpdef Order order(
        self, str user_id, Terms terms, str client_order_id, SecurityBook market, int64_t time_ms,
        bint withdraw_on_close)
    @cython.locals(owner=Owner, execution=Execution, order=Order)
    cpdef Execution enter(self, SecurityBook market, OrderProgress progress, int64_t time_ms)
    cpdef list entered(
        self, SecurityBook market, OrderProgress progress, Execution execution, ref)
    @cython.locals(owner=Owner)
    cdef _stand(self, SecurityBook market, OrderProgress progress)
