# `decimals.py` in C types.

cimport cython
from libc.stdint cimport int64_t

@cython.locals(sign=str, digits=str, point=int64_t)
cpdef str plain(units, int64_t decimals)
@cython.locals(whole=str, point=str, fraction=str)
cpdef tuple parsed(str text)
cdef bint _are_digits(str text) except -1
