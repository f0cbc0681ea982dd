# `room.py` in C types.

from libc.stdint cimport int64_t


cdef class Room:
    cdef int64_t _commands_max, _cancels_max
    cdef object _time
    cdef double _spent_s, _committed, _next_s

    cpdef pressure(self, int64_t commands, int64_t of_user)
    cpdef committed(self, int64_t commands, double spent_s)
    cpdef int64_t retry_after_ms(self, int64_t commands) except -1
