# `symbols.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.gateway._json cimport Writer
from fastbook_server.values.accounts cimport Assets
from fastbook_server.values.decimals cimport parsed, plain
from fastbook_server.values.instruments cimport Instrument


@cython.final
cdef class _Texts:
    cdef readonly int64_t decimals
    cdef tuple _tens
    cdef object _factor
    cdef int64_t _written_factor, _written_max

    cpdef str text(self, units)
    cpdef write(self, Writer out, bytes key, int64_t units)
    cpdef units(self, str name, str text, str filter_name)
    @cython.locals(scaled=int64_t, left=int64_t, digits=int64_t, after_point=bint, sign=Py_UCS4)
    cpdef int64_t _scaled(self, str text) except? -1


@cython.final
cdef class Symbol:
    cdef readonly Instrument instrument
    cdef readonly str name, base, quote
    cdef int64_t _number, _ids
    cdef _Texts _price, _quantity, _notional

    cpdef str price(self, ticks)
    cpdef str quantity(self, lots)
    cpdef str notional(self, ticks_times_lots)
    cpdef write_price(self, Writer out, bytes key, ticks)
    cpdef write_quantity(self, Writer out, bytes key, lots)
    cpdef write_notional(self, Writer out, bytes key, ticks_times_lots)
    cpdef int64_t order_id(self, int64_t seq) except -1
    cpdef ticks(self, str name, str text)
    cpdef lots(self, str name, str text, str filter_name=*)


@cython.final
cdef class Symbols:
    cdef readonly dict by_name, by_security, by_number
    cdef readonly Assets assets


cdef tuple _decimal(str name, str text, int64_t decimals_max)
