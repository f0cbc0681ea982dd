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

