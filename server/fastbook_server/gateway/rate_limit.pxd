# `rate_limit.py` in C types.

cimport cython
from libc.stdint cimport int64_t


@cython.final
cdef class RateLimit:
    cdef object _time
    cdef double _per_second, _tokens, _since_s

    @cython.locals(now_s=double, tokens=double)
    cpdef int64_t take(self) except -1
