# `sockets.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.gateway.outbox cimport Outbox


@cython.final
cdef class DialectSocket:
    cdef readonly int64_t scale
    cdef object _ws, _transport, _clock, _rate, _heart, _abort, _take
    cdef Outbox _outbox
    cdef public double _began_s
    cdef double _heard_s
    cdef readonly bint closing

    cpdef send(self, bytes frame)
    cpdef bint take(self, bytes data) except -1
    cdef bint _admits(self) except -1
