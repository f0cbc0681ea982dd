# `allowance.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.gateway cimport decode
from fastbook_server.gateway.rate_limit cimport RateLimit


@cython.final
cdef class Allowance:
    cdef readonly RateLimit rate, refusals
    cdef RateLimit _cancel_reserve
    cdef object _rate_max, _matcher, _pressure

    cpdef bint must_wait(self, str user_id) except -1
    @cython.locals(ref=bytes)
    cpdef bytes turns_away(self, bytes frame)
    @cython.locals(wait_ms=int64_t)
    cpdef tuple against(self, said)
    cdef bint _finds_no_room(self, said) except -1
