# `trade_stats.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.values.candles cimport Candle


cdef class TradeStats:
    cdef readonly dict series
    cdef readonly object last, day
    cdef Candle _second

    @cython.locals(second=Candle, start_ms=int64_t)
    cpdef add(self, int64_t time_ms, int64_t price, quantity, bint is_first)
    @cython.locals(known=Candle)
    cpdef merge(self, Candle second)
    @cython.locals(second=Candle)
    cpdef flush(self)
