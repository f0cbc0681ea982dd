# `session.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.gateway cimport decode, reports
from fastbook_server.gateway.allowance cimport Allowance
from fastbook_server.gateway.outbox cimport Outbox
from fastbook_server.values.events cimport CommandRefused


cdef class Session:
    cdef public str user_id
    cdef readonly str security
    cdef readonly object _ws, _transport
    cdef object _matcher, _feeds, _users, _lookups, _limits, _clock, _abort
    cdef Allowance _allowance
    cdef set _subscriptions
    cdef Outbox _outbox
    cdef readonly bint _closing
    cdef bint _receiving, _has_submitted
    cdef int64_t _silent_beats

    cpdef send(self, bytes frame)
    cpdef bint send_state(self, bytes frame) except -1
    cpdef bint take(self, bytes data) except -1
    @cython.locals(ref=bytes)
    cdef bint _turned_away(self, bytes data) except -1
    cdef _decoded(self, bytes data)
    cdef _handle_now(self, said)
    cdef _handle_command(self, command)
    cdef _handle_array(self, list said)
    @cython.locals(against=tuple)
    cdef bint _admits(self, said) except -1
    cdef _submit(self, tuple commands)
    cdef _refuse(self, refused, code, str said, retry_ms=*)
    cpdef send_refusal(self, CommandRefused refused)
