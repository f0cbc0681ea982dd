# `owners.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.order_progress cimport OrderProgress
from fastbook_server.values.events cimport Order


@cython.final
cdef class Remembered:
    cdef readonly str user_id, name
    cdef readonly OrderProgress progress
    cdef public bint has_ended, is_forgotten


@cython.final
cdef class Ended:
    cdef readonly int64_t count
    cdef object _entries

    cpdef add(self, Remembered remembered)
    cdef forgotten(self)
    cpdef Remembered oldest(self)


@cython.final
cdef class Owner:
    cdef readonly str user_id
    cdef public int64_t number
    cdef readonly dict open, names
    cdef public bint is_sorted
    cdef public str newest
    cdef readonly Ended ended


@cython.final
cdef class Owners:
    cdef dict _owners
    cdef list _free_numbers
    cdef readonly int64_t _numbers
    cdef int64_t _open, _remembered, _none_old_until_ms
    cdef Ended _ended

    @cython.locals(owner=Owner)
    cpdef Owner owner(self, str user_id)
    @cython.locals(owner=Owner)
    cdef Owner _any_owner(self, str user_id)
    cpdef release_if_idle(self, Owner owner)
    cdef _drop_if_done(self, Owner owner)
    cpdef opened(self, Owner owner, OrderProgress progress)
    @cython.locals(owner=Owner)
    cpdef Owner closed(self, OrderProgress progress)
    @cython.locals(owner=Owner)
    cpdef int64_t open_count(self, str user_id) except -1
    cpdef int64_t open_total(self) except -1
    @cython.locals(owner=Owner, known=Remembered)
    cpdef OrderProgress client_order(self, str user_id, str client_order_id, int64_t time_ms)
    @cython.locals(owner=Owner, known=Remembered)
    cpdef remember(self, OrderProgress progress, str client_order_id)
    @cython.locals(owner=Owner, order=Order)
    cpdef ended(self, OrderProgress progress, time_ms)
    @cython.locals(known=Remembered)
    cdef _let_name_end(self, Owner owner, OrderProgress progress, str client_order_id)
    cdef _let_end(self, Owner owner, Remembered known)
    @cython.locals(owner=Owner)
    cpdef int64_t remembered(self, str user_id) except -1
    cpdef make_room(self, str user_id, int64_t of_user_max, int64_t total_max)
    @cython.locals(oldest=Remembered)
    cpdef expire(self, int64_t time_ms)
    @cython.locals(owner=Owner, oldest=Remembered)
    cdef bint _forget_oldest_of(self, str user_id) except -1
    cdef _forget(self, Owner owner, Remembered known)


cdef bint _is_old(OrderProgress progress, int64_t time_ms) except -1
