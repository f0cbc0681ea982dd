# `decode.py` in C types.

cdef object _decode, _NEW_ORDER


cpdef bytes ref_of_new_order(bytes frame)
cpdef said(bytes frame)
cpdef decode(bytes frame)
