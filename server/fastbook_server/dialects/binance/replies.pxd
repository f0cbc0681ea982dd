# `replies.py` in C types.

cimport cython

from fastbook_server.values.events cimport AllDeleted, CommandRefused, OrderReport


@cython.final
cdef class WaitingReply:
    cdef readonly str user_id
    cdef readonly object read, done
    cdef readonly double until_s


@cython.final
cdef class Replies:
    cdef object _matcher, _refs, _timer
    cdef dict _waiting

    cpdef begin(self, str user_id, command, read, done)
    cdef _check_room(self, str user_id, bint places)
    cdef _wait(self, str user_id, read, done)
    cpdef on_reports(self, reports)
    @cython.locals(waiting=WaitingReply, refused=CommandRefused)
    cdef _reply(self, str user_id, ref, reply)
