# `expiries.py` in C types.

from libc.stdint cimport int64_t


cdef class Expiries:
    cdef list _heap
    cdef int64_t _ended

    cpdef next_ms(self)
