# The clock of a running server in C types; `clock.py` says what it does.

cimport cython
from libc.stdint cimport int64_t


cdef class LoopClock:
    cdef readonly object time, call_later
    cdef object _time_ns

    @cython.locals(now_ns=int64_t)
    cpdef int64_t now_ms(self) except? -1
