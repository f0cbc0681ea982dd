# `recent.py` in C types.

from fastbook_server.store.memory cimport MemoryDatabase
from fastbook_server.values.events cimport Order


cdef class RecentDatabase(MemoryDatabase):
    cdef Py_ssize_t _events_max

    cpdef apply(self, batch)
    cdef _keep(self, Order order)
    cdef _forget(self, list kept)
