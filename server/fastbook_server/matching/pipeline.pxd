# `pipeline.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.collected cimport Collected
from fastbook_server.matching.exchange cimport Exchange


cdef class Pipeline:
    cdef object __weakref__
    cdef readonly Exchange exchange
    cdef readonly object _clock
    cdef readonly int64_t _time_ms
    cdef object _store, _batches
    cdef int64_t _batch_no
    cdef bint _relaxed, _failing, _stopping, _woken
    cdef int64_t _batch_commands_max, _inbox_commands_max, _uncommitted_events_max
    cdef double _idle_check_s
    cdef Collected _collecting, _in_flight, _unpublished
    cdef object _closed
    cdef int64_t _commands, _submitted, _events
    cdef object _commit_since, _bug, _wake, _progress, _publish_at
    cdef tuple _told
    cdef double _told_at_s
    cdef object _mark_at, _expiry_ms, _expiry_at
    cdef int64_t _mark_every_ms
    cdef object _steps
    cdef int64_t _steps_ms
    cdef object _waiting

    cdef _collect(self, list events)
    cdef _collected(self)
    @cython.locals(now=int64_t)
    cpdef int64_t _tick(self) except -1
    cdef _match(self, str user_id, tuple commands)
    cdef list _begin(self, str user_id, command)
    cdef list _first_step(self, steps)
