# `user_data.py` in C types.

cimport cython


@cython.final
cdef class UserData:
    cdef object _topics, _now_ms, _shared, _executions
    cdef dict _hearing, _keys, _key_of
    cdef set _ended

    cpdef bint is_heard(self, str user_id) except -1
