# `auth.py` in C types.

cimport cython

@cython.locals(params=dict, signed=list, payload=str, part=str, name=str,
               value=str, text=str, plain=bint)
cpdef tuple split(str query, str body)
cdef str _readable(str text)
cpdef account_of(dict accounts, str key)
@cython.locals(given=bytes)
cpdef check_signature(account, dict params, bytes payload, other=*)
cdef bint _has_signed(str secret, bytes payload, bytes signature) except -1
