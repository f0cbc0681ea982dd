# `open_orders.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.values.events cimport Order
from fastbook_server.values.instruments cimport Instrument
from fastbook_server.values.persisted cimport OpenOrder


@cython.final
cdef class OpenOrderReader:
    cdef readonly list found
    cdef dict _instruments, _texts
    cdef bytes _data
    cdef Py_ssize_t _at, _header_left

    @cython.locals(skipped=Py_ssize_t)
    cpdef feed(self, data)
    @cython.locals(size=Py_ssize_t, start=Py_ssize_t, left=int64_t, length=int64_t,
                   complete=bint)
    cdef bint _has_row(self) except -1
    @cython.locals(order=Order, instrument=Instrument, time_ms=int64_t, quantity=int64_t,
                   remaining=int64_t, seq=int64_t, post_only=bint, withdraw_on_close=bint,
                   held=bint)
    cdef OpenOrder _open_order(self)
    cdef int64_t _integer(self) except? -1
    @cython.locals(size=Py_ssize_t)
    cdef _integer_or_none(self)
    @cython.locals(data=cython.p_uchar, at=Py_ssize_t, n=Py_ssize_t, value=int64_t)
    cdef int64_t _signed(self, Py_ssize_t size) except? -1
    @cython.locals(data=cython.p_char, size=Py_ssize_t, start=Py_ssize_t, end=Py_ssize_t)
    cdef str _text(self)
    @cython.locals(data=cython.p_char, size=Py_ssize_t, start=Py_ssize_t, end=Py_ssize_t,
                   encoded=bytes)
    cdef str _shared_text(self)
    @cython.locals(data=cython.p_uchar, at=Py_ssize_t, to=Py_ssize_t, n=Py_ssize_t,
                   text=bytearray)
    cdef str _uuid(self)
    @cython.locals(count=int64_t, weight=int64_t)
    cdef _numeric(self)
    @cython.locals(dimensions=int64_t, count=int64_t)
    cdef tuple _texts_of_array(self)


@cython.locals(resting=OpenOrder, order=Order, side=tuple, book=dict)
cpdef dict levels_of(list open_orders)
