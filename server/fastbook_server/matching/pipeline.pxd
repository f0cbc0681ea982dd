# `pipeline.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.collected cimport Collected
from fastbook_server.matching.exchange cimport Exchange
from fastbook_server.matching.room cimport Room


cdef class Pipeline:
    cdef object __weakref__
    cdef readonly Exchange exchange
    cdef readonly object _clock
    cdef readonly int64_t _time_ms
    cdef object _commits, _telling
    cdef bint _relaxed, _stopping, _ended, _woken
    cdef int64_t _batch_commands_max, _inbox_commands_max, _uncommitted_events_max
    cdef double _idle_check_s
    cdef Room _room
    cdef Collected _collecting, _in_flight, _unpublished
    cdef object _closed
    cdef int64_t _commands, _submitted, _events
    cdef object _bug, _wake, _stopped, _progress, _publish_at
    cdef object _expiry_ms, _expiry_at
    cdef object _steps
    cdef int64_t _steps_ms
    cdef object _waiting, _clock_watch

    cpdef pressure(self, str user_id)
    @cython.locals(held=int64_t, batch=Collected)
    cdef int64_t _of_user(self, str user_id) except -1
    cdef _collect(self, list events)
    cdef _take(self, Collected caused)
    cdef _counted(self)
    cdef _collected(self)
    @cython.locals(now=int64_t)
    cpdef int64_t _tick(self) except -1
    @cython.locals(senders=dict)
    cdef _match(self, str user_id, tuple commands)
    cdef list _begin(self, str user_id, command)
    cdef list _first_step(self, steps)
