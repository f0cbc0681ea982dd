# `owners.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.order_progress cimport OrderProgress
from fastbook_server.values.events cimport Order


@cython.final
cdef class Owner:
    cdef public str user_id
    cdef public int64_t number
    cdef public dict open


@cython.final
cdef class Owners:
    cdef dict _owners
    cdef list _free_numbers
    cdef readonly int64_t _numbers
    cdef int64_t _open
    cdef dict _client_orders
    cdef object _ended
    cdef int64_t _none_old_until_ms
    cdef dict _ended_of, _remembered

    cpdef Owner owner(self, str user_id)
    cpdef release_if_idle(self, Owner owner)
    cpdef opened(self, Owner owner, OrderProgress progress)
    cpdef Owner closed(self, OrderProgress progress)
    cpdef int64_t open_count(self, str user_id) except -1
    cpdef int64_t open_total(self) except -1
    cpdef OrderProgress client_order(self, str user_id, str client_order_id, int64_t time_ms)
    cpdef remember(self, OrderProgress progress, str client_order_id)
    @cython.locals(order=Order)
    cpdef ended(self, OrderProgress progress, time_ms)
    cpdef _let_end(self, tuple key, OrderProgress progress)
    cpdef int64_t remembered(self, str user_id) except -1
    cpdef make_room(self, str user_id, int64_t of_user_max, int64_t total_max)
    @cython.locals(oldest=OrderProgress)
    cpdef expire(self, int64_t time_ms)
    cpdef _forget(self, tuple key)


@cython.locals(ended_ms=object)
cdef bint _is_old(OrderProgress progress, int64_t time_ms) except -1
