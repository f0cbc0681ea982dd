"""Python arguments to C integers, with errors that name the argument.

The import on each failing path is deliberate: a .pxd has no module level of its own.
"""

from cpython.long cimport PyLong_Check
from cpython.number cimport PyNumber_Index
from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "Python.h":
    int64_t PyLong_AsLongLongAndOverflow(object number, int* overflow) except? -1


cdef inline object to_integer(object value, str name):
    if PyLong_Check(value):
        return value
    try:
        return PyNumber_Index(value)
    except TypeError:
        from fastbook import _errors

        raise _errors.expected_int(name, value) from None


cdef inline int64_t to_int64(object value, str name) except? -1:
    cdef int overflow = 0
    cdef object integer = to_integer(value, name)
    cdef int64_t number = PyLong_AsLongLongAndOverflow(integer, &overflow)
    if overflow:
        from fastbook import _errors

        raise _errors.expected(name, "an integer of at most 64 bits", integer)
    return number


cdef inline int64_t to_id(object value, str name) except? -1:
    """An id or price to look up: 0, which nothing has, for an integer beyond 64 bits."""
    cdef int overflow = 0
    cdef object integer = to_integer(value, name)
    cdef int64_t number = PyLong_AsLongLongAndOverflow(integer, &overflow)
    return 0 if overflow else number


cdef inline uint8_t to_side(object value) except? 255:
    cdef int64_t number = to_int64(value, "side")
    if not 0 <= number <= 1:
        from fastbook import _errors

        raise _errors.expected_side(number)
    return <uint8_t>number


cdef inline uint32_t to_owner(object value) except? 0xFFFFFFFFU:
    cdef int64_t number = to_int64(value, "owner")
    if not 0 <= number <= 0xFFFFFFFFU:
        from fastbook import _errors

        raise _errors.expected("owner", "an integer from 0 to 2**32 - 1", number)
    return <uint32_t>number


cdef inline uint8_t to_flags(bint post_only, object self_trade) except? 255:
    cdef int64_t mode = to_int64(self_trade, "self_trade")
    if not 0 <= mode <= 3:
        from fastbook import _errors

        raise _errors.expected_self_trade(mode)
    return <uint8_t>(post_only | mode << 1)


cdef inline uint64_t to_count(object n) except? 0:
    """How many rows: 0 asks for all."""
    cdef int64_t number = to_int64(n, "n")
    if number < 0:
        from fastbook import _errors

        raise _errors.expected("n", "0 (all) or a positive integer", number)
    return UINT64_MAX if number == 0 else <uint64_t>number
