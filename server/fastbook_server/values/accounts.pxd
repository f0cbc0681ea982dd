# `accounts.py` in C types.

cimport cython


@cython.final
cdef class Pair:
    cdef readonly str base, quote
    cdef readonly object lot_units, notional_units

    cpdef tuple held(self, str side, price, lots)


@cython.final
cdef class Assets:
    cdef dict _decimals
    cdef readonly dict pairs

    cpdef decimals(self, str asset)


cpdef bint is_account(str user_id) except -1
