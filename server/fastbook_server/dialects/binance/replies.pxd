# `replies.py` in C types.

cimport cython

from fastbook_server.dialects.binance.calls cimport Caller, AwaitingCaller
from fastbook_server.values.events cimport AllDeleted, CommandRefused, OrderReport


cdef class WaitingReply:
    cdef public str user_id
    cdef public Caller caller
    cdef public double until_s

    cpdef read(self, reply)


cdef class ReadReply(WaitingReply):
    cdef object _read

    cpdef read(self, reply)


@cython.final
cdef class Replies:
    cdef object _matcher, _refs, _timer
    cdef dict _waiting

    cpdef begin(self, WaitingReply waiting, command, bint places)
    cdef _check_room(self, str user_id, bint places)
    cdef _wait(self, WaitingReply waiting)
    cpdef on_reports(self, reports)
    @cython.locals(waiting=WaitingReply, refused=CommandRefused)
    cdef _reply(self, str user_id, ref, reply)
