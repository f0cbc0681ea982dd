# `decode.py` in C types.

cdef object _decode

cpdef said(bytes frame)
cpdef decode(bytes frame)
