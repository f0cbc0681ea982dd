# `session.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.gateway cimport decode
from fastbook_server.gateway.outbox cimport Outbox
from fastbook_server.gateway.rate_limit cimport RateLimit


cdef class Session:
    cdef public str user_id
    cdef readonly str security
    cdef readonly object _ws, _transport
    cdef object _matcher, _feeds, _users, _lookups, _limits, _clock, _abort
    cdef RateLimit _rate, _cancel_reserve, _refusals
    cdef set _subscriptions
    cdef Outbox _outbox
    cdef readonly bint _closing
    cdef bint _receiving
    cdef int64_t _silent_beats

    cpdef send(self, bytes frame)
    cpdef bint send_state(self, bytes frame) except -1
    cpdef bint take(self, bytes data) except -1
    cdef _decoded(self, bytes data)
    cdef _handle_now(self, said)
    cdef _handle_command(self, command)
    cdef _handle_array(self, list said)
    @cython.locals(wait_ms=int64_t)
    cdef bint _admits(self, said) except -1
    cdef _submit(self, tuple commands)
