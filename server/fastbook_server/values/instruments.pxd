# An instrument as a record of C; `instruments.py` says what its fields mean.

cimport cython
from libc.stdint cimport int64_t


@cython.final
cdef class Scale:
    cdef object _grid
    cdef int64_t _numerator, _denominator, _exact_max

    cpdef double number(self, int64_t units) except -1
    @cython.locals(steps=double, guess=int64_t)
    cpdef int64_t units(self, double value) except -1


@cython.final
cdef class Instrument:
    cdef readonly int64_t number
    cdef readonly str security
    cdef readonly object tick, lot
    cdef readonly str status
    cdef readonly Scale price, amount

    cpdef double total(self, notional) except? -1
    cpdef double average(self, notional, quantity) except? -1
