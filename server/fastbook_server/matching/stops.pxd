# `stops.py` in C types.

from fastbook_server.matching.order_progress cimport OrderProgress


cdef class Stops:
    cdef public object last_price, triggered
    cdef dict _waiting, _keys

    cpdef filled(self, price)
