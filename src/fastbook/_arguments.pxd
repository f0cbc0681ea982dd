"""Converts Python arguments to C integers, with errors that name the argument.

Each failing path imports _errors by itself, because a .pxd has no module level.
"""

from cpython.long cimport PyLong_Check
from cpython.number cimport PyNumber_Index
from cpython.object cimport PyObject
from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint32_t, uint64_t

from fastbook._memory cimport hint_likely


cdef extern from *:
    """
    /* Whether an object is an int from 0 to 2**30 - 1, as most are; if so, stores its value. */
    static inline __attribute__((always_inline))
    int integer_is_small(PyObject* object, int64_t* value) {
        if (!PyLong_Check(object)) return 0;
    #if PY_VERSION_HEX >= 0x030C0000
        if (!PyUnstable_Long_IsCompact((PyLongObject*)object)) return 0;
        *value = (int64_t)PyUnstable_Long_CompactValue((PyLongObject*)object);
        return *value >= 0;
    #else
        /* Even 0 has room for a digit. No branch on 0, because half of all sides are 0. */
        if ((size_t)Py_SIZE(object) > 1) return 0;
        *value = (int64_t)((PyLongObject*)object)->ob_digit[0] & -(int64_t)Py_SIZE(object);
        return 1;
    #endif
    }
    """
    bint integer_is_small(PyObject* value, int64_t* number)


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


cdef inline int64_t to_int64_any(object value, str name) except? -1:
    cdef int overflow = 0
    cdef object integer = to_integer(value, name)
    cdef int64_t number = PyLong_AsLongLongAndOverflow(integer, &overflow)
    if overflow:
        from fastbook import _errors

        raise _errors.expected(name, "an integer of at most 64 bits", integer)
    return number


cdef inline int64_t to_id_any(object value, str name) except? -1:
    cdef int overflow = 0
    cdef object integer = to_integer(value, name)
    cdef int64_t number = PyLong_AsLongLongAndOverflow(integer, &overflow)
    return 0 if overflow else number


cdef inline int64_t to_int64(object value, str name) except? -1:
    cdef int64_t number = 0
    if hint_likely(integer_is_small(<PyObject*>value, &number)):
        return number
    return to_int64_any(value, name)


cdef inline int64_t to_id(object value, str name) except? -1:
    """Convert an id or price to look up; beyond 64 bits it becomes 0, which none has."""
    cdef int64_t number = 0
    if hint_likely(integer_is_small(<PyObject*>value, &number)):
        return number
    return to_id_any(value, name)


cdef inline uint8_t to_side(object value) except? 255:
    cdef int64_t number = to_int64(value, "side")
    if not 0 <= number <= 1:
        from fastbook import _errors

        raise _errors.expected_side(number)
    return <uint8_t>number


cdef inline uint8_t to_time_in_force(object value) except? 255:
    cdef int64_t number = to_int64(value, "tif")
    if not 0 <= number <= 2:
        from fastbook import _errors

        raise _errors.expected_time_in_force(number)
    return <uint8_t>number


cdef inline uint32_t to_owner(object value) except? 0xFFFFFFFFU:
    cdef int64_t number = to_int64(value, "owner")
    if not 0 <= number <= 0xFFFFFFFFU:
        from fastbook import _errors

        raise _errors.expected("owner", "an integer from 0 to 2**32 - 1", number)
    return <uint32_t>number


cdef inline uint8_t to_flags(bint post_only, object self_trade) except? 255:
    cdef int64_t mode = to_int64(self_trade, "self_trade")
    if not 0 <= mode <= 4:
        from fastbook import _errors

        raise _errors.expected_self_trade(mode)
    return <uint8_t>(post_only | mode << 1)


cdef inline int64_t to_level_quantity_max(object value) except? -1:
    cdef int64_t number = to_int64(value, "level_quantity_max")
    if number <= 0:
        from fastbook import _errors

        raise _errors.expected("level_quantity_max", "a positive integer below 2**63", number)
    return number


cdef inline uint64_t to_count(object n) except? 0:
    """Convert a number of rows, of which 0 means all."""
    cdef int64_t number = to_int64(n, "n")
    if number < 0:
        from fastbook import _errors

        raise _errors.expected("n", "0 (all) or a positive integer", number)
    return UINT64_MAX if number == 0 else <uint64_t>number
