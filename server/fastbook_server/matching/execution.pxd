# `execution.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.open_orders cimport OpenOrders
from fastbook_server.matching.order_progress cimport OrderProgress
from fastbook_server.matching.security_book cimport SecurityBook
from fastbook_server.values.events cimport Order, OrderReport


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

    @cython.locals(number=int64_t, order=Order, kind=int)
    cpdef fold(self, list happened, int64_t epoch)
    cpdef list told(self, OrderReport state)
    @cython.locals(market=SecurityBook, taker=OrderProgress, maker=OrderProgress,
                   number=int64_t, seq=int64_t, time_ms=int64_t,
                   refilled=bint, is_own=bint, told=list)
    cdef _fill(self, e)
    @cython.locals(taker=OrderProgress)
    cdef _rest(self, e)
    @cython.locals(maker=OrderProgress)
    cdef _cancel_maker(self, e)
    @cython.locals(maker=OrderProgress)
    cdef _reduce_maker(self, e)
    @cython.locals(taker=OrderProgress)
    cdef _discard(self, e)
    cdef int64_t _next_n(self) except -1
