# `decode.py` in C types.

from fastbook_server.gateway cimport _commands

cdef object _decode, _NEW_ORDER


cpdef bytes ref_of_new_order(bytes frame)
cpdef said(bytes frame)
cpdef decode(bytes frame)
