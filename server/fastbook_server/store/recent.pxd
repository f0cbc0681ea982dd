# `recent.py` in C types.

from libc.stdint cimport int64_t

from fastbook_server.store.memory cimport MemoryDatabase
from fastbook_server.values.events cimport Order, OrderFilled


cdef class RecentDatabase(MemoryDatabase):
    cdef Py_ssize_t _events_max
    cdef set _shrinking

    cpdef end(self, batch)
    cpdef take(self, events)
    cdef _forget_old(self)
    cdef _keep(self, Order order, int64_t remaining, notional)
    cdef _keep_candles(self, OrderFilled fill)
    cdef list _forget(self, list kept)
