# `terms.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.values.events cimport Order
from fastbook_server.values.instruments cimport Instrument


@cython.final
cdef class Terms:
    cdef readonly str side, exec_type
    cdef readonly object price
    cdef readonly int64_t quantity
    cdef readonly str time_in_force
    cdef readonly bint post_only
    cdef readonly str self_trade
    cdef readonly object trigger_price
    cdef readonly int64_t display
    cdef readonly object expire_ms, budget

    cpdef bint may_rest(self) except -1


cpdef Terms terms_of(Order order)
@cython.locals(quantity=int64_t, display=int64_t, is_plain=bint, has_more=bint)
cpdef Terms checked(new, Instrument instrument)
cpdef int64_t amount_of(str name, amount, Instrument instrument) except -1
cpdef int64_t price_of(str name, price, Instrument instrument) except -1
cdef str _time_in_force(str given, str exec_type, bint expires)
@cython.locals(needs_price=bint, needs_trigger=bint)
cdef _check_fields(new, str exec_type, price, trigger, amount)
