# `balances.py` in C types.

cimport cython

from fastbook_server.dialects.binance.symbols cimport Symbols
from fastbook_server.values.events cimport BalanceChanged


@cython.final
cdef class Balances:
    cdef Symbols _symbols
    cdef dict _of

    @cython.locals(known=dict, change=BalanceChanged, heard=dict)
    cpdef dict follow(self, changes, is_heard)
    cpdef dict _told(self, BalanceChanged change)
