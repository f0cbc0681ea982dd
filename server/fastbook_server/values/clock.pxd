# The clock of a running server in C types; `clock.py` says what it does.

cimport cython


cdef class LoopClock:
    cdef readonly object time, call_later
    cdef object _time_ns

    cpdef now_ms(self)
