# `execution.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.open_orders cimport OpenOrders
from fastbook_server.matching.order_progress cimport OrderProgress
from fastbook_server.matching.security_book cimport SecurityBook
from fastbook_server.values.events cimport Order, OrderReport
from fastbook_server.values.ids cimport encode


cdef int _FILL, _REST, _CANCEL, _REDUCE, _DISCARD


@cython.final
cdef class Execution:
    cdef public list public, own_fills, reports
    cdef SecurityBook _market
    cdef OpenOrders _open_orders
    cdef OrderProgress _taker
    cdef int64_t _seq, _time_ms, _n, _fills, _quantity
    cdef object _notional
    cdef bint _own_orders_took
    cdef list _happened
    cdef Py_ssize_t _folded
    cdef int64_t _epoch

    cpdef bint takes_long(self) except -1
    cpdef begin(self, list happened, int64_t epoch, Py_ssize_t skip=*)
    @cython.locals(order=Order)
    cpdef accept(self)
    @cython.locals(taker=OrderProgress)
    cdef _accept_for(self, int64_t quantity)
    @cython.locals(kind=int, happened=list, start=Py_ssize_t, end=Py_ssize_t)
    cpdef bint fold(self, Py_ssize_t count=*) except -1
    @cython.locals(order=Order)
    cdef _sum_up(self)
    cpdef list told(self, OrderReport state)
    @cython.locals(market=SecurityBook, taker=OrderProgress, maker=OrderProgress,
                   number=int64_t, seq=int64_t, time_ms=int64_t,
                   refilled=bint, is_own=bint, told=list)
    cdef _fill(self, e)
    @cython.locals(taker=OrderProgress, level=int64_t)
    cdef _rest(self, e)
    @cython.locals(maker=OrderProgress)
    cdef _cancel_maker(self, e)
    @cython.locals(maker=OrderProgress)
    cdef _reduce_maker(self, e)
    @cython.locals(taker=OrderProgress)
    cdef _discard(self, e)
    cdef int64_t _next_n(self) except -1
