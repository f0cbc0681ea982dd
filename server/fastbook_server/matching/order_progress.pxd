# An order's progress as a record of C; `order_progress.py` says what its fields mean.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.values.events cimport FillReport, Order, OrderReport


@cython.final
cdef class OrderProgress:
    cdef public Order order
    cdef public int64_t remaining
    cdef public object notional
    cdef public str status, reason
    cdef public object ended_ms
    cdef public int64_t slice, queued_seq, queued_n

    cpdef bint is_open(self) except -1
    cpdef bint is_held(self) except -1
    cpdef int64_t visible(self) except -1
    cpdef bint fill(self, price, quantity) except -1  # objects: their product may be large
    cpdef rest(self, int64_t seq)
    cpdef requeue(self, int64_t seq, int64_t n)
    cpdef amend(self, Order order)
    cpdef cancel(self, str reason)
    cpdef FillReport fill_report(
        self, str role, int64_t fill_id, int64_t seq, int64_t time_ms, int64_t price,
        int64_t quantity)
    cpdef OrderReport report(self, ref=*, last_price=*, last_quantity=*)
