# `limits.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.dialects.binance.calls cimport Offer
from fastbook_server.dialects.binance.parameters cimport Parameters


@cython.final
cdef class Interval:
    cdef readonly str kind
    cdef readonly int64_t most
    cdef readonly str text, letter, header
    cdef str _word
    cdef int64_t _number, _width_ms, _began
    cdef dict _counts

    @cython.locals(began=int64_t, counted=int64_t)
    cpdef int64_t add(self, str name, int64_t count, int64_t now_ms) except -1
    cpdef int64_t left_s(self, int64_t now_ms) except -1


@cython.final
cdef class Limits:
    cdef readonly object now_ms
    cdef bint _checks_age
    cdef readonly Interval weight
    cdef readonly tuple orders
    cdef Interval _refusals
    cdef dict _banned

    @cython.locals(used=int64_t)
    cpdef weigh(self, str address, int64_t weight, int64_t now_ms)
    cdef _check_not_banned(self, str address, int64_t now_ms)
    cpdef check_age(self, params)
    @cython.locals(bound=Interval)
    cpdef place(self, str user_id, int64_t now_ms)


@cython.final
@cython.no_gc  # nothing that it holds leads back to it
cdef class Charge:
    cdef Limits _limits
    cdef str _address
    cdef Offer _entry
    cdef str _placer
    cdef readonly int64_t now_ms

    cpdef weigh(self, Offer entry, Parameters params)
    cpdef place(self, str user_id)
    @cython.locals(limits=Limits, now_ms=int64_t, bound=Interval)
    cpdef failed(self, refused)
    @cython.locals(limits=Limits, now_ms=int64_t, bound=Interval)
    cpdef dict headers(self)
    @cython.locals(text=str, name=str, value=str)
    cpdef bytes header_lines(self)
