# `persisted.py` in C types: the states of open orders as records.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.values.events cimport Order, OrderFilled


@cython.final
cdef class OpenOrder:
    cdef readonly Order order
    cdef readonly int64_t remaining
    cdef readonly object notional
    cdef readonly tuple queued
    cdef readonly int64_t visible
    cdef readonly bint held


cpdef OpenOrder after_fill(OpenOrder maker, OrderFilled fill)
