# `ids.py` in C types.

cimport cython
from libc.stdint cimport int64_t


@cython.locals(version=int64_t, variant=int64_t, rest=int64_t)
cpdef str encode(int64_t time_ms, int64_t epoch, int64_t seq, int64_t instrument, int64_t kind)
