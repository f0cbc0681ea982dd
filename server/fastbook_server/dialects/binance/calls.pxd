# `calls.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.dialects.binance.parameters cimport Parameters


@cython.final
cdef class Call:
    cdef readonly Parameters params
    cdef readonly object account
    cdef readonly int64_t now_ms
    cdef readonly object too_many
    cdef readonly str user_id


cdef class Caller:
    cpdef done(self, answer)


cdef class AwaitingCaller(Caller):
    cdef object _future

    cpdef done(self, answer)


@cython.final
cdef class Offer:
    cdef readonly str method, path, name
    cdef readonly object weight, function
    cdef readonly bint signed, keyed, is_order, places, more
    cdef readonly object begins

    cpdef weighs(self, Parameters params)
