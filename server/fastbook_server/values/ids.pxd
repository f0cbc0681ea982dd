# `ids.py` in C types.

cimport cython
from libc.stdint cimport int64_t, uint64_t

from fastbook_server.values._uuid cimport low_bits, text_of


@cython.locals(high=uint64_t)
cpdef str encode(uint64_t time_ms, int64_t epoch, int64_t seq, int64_t instrument, int64_t kind)
@cython.locals(low=int64_t)
cpdef int64_t place(str text) except? -1
