# `outbox.py` in C types.

cimport cython
from libc.stdint cimport int64_t


@cython.final
cdef class Turn:
    cdef list _ready

    cpdef add(self, Outbox outbox)
    @cython.locals(outbox=Outbox, ready=list, sent=Py_ssize_t)
    cpdef _end(self)


@cython.final
cdef class Outbox:
    cdef object _transport, _write, _is_closing, _buffer_size
    cdef object _drained, _timers, _on_overflow, _held, _pump
    cdef Turn _turn
    cdef int64_t _bytes_max, _held_bytes, _burst_bytes
    cdef double _burst_s
    cdef list _fresh
    cdef bint _awaits_end

    cpdef put(self, bytes frame)
    @cython.locals(backlog=int64_t, data=bytes)
    cpdef flush(self)
    cpdef drop(self)
