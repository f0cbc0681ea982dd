# A candle as a record of C; `candles.py` says what its fields mean.

from libc.stdint cimport int64_t


cdef class Candle:
    cdef readonly int64_t start_ms, open, high, low, close
    cdef readonly object volume
    cdef readonly int64_t trades

    cpdef add(self, int64_t price, quantity, bint is_first)
    cpdef merge(self, Candle later)
