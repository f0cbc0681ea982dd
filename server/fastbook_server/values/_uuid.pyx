# cython: language_level=3, boundscheck=False, wraparound=False, autotestdict=False
"""UUID texts from numbers and back: digit by digit, since every order bears one."""

from cpython.unicode cimport PyUnicode_GET_LENGTH
from libc.stdint cimport int64_t, uint64_t

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const unsigned char* PyUnicode_1BYTE_DATA(object text)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)

cdef enum:
    LENGTH = 36
    LOW_STARTS = 19  # the second half: four digits, a hyphen, twelve digits
    HYPHEN = 23

cdef uint64_t FREE = (1ULL << 62) - 1  # what the variant leaves of the second half
cdef const char* DIGITS = b"0123456789abcdef"

cdef signed char[256] VALUES  # of the digits; -1: none
cdef int _n
for _n in range(256):
    VALUES[_n] = b"0123456789abcdef".find(_n)


cpdef str text_of(uint64_t high, uint64_t low):
    """Return the UUID of these 64 and 62 bits; the variant of RFC 9562 comes between them."""
    cdef str text = PyUnicode_New(LENGTH, 127)
    cdef unsigned char* at = <unsigned char*>PyUnicode_1BYTE_DATA(text)
    low = low & FREE | 1ULL << 63
    _write(at, high >> 32, 8)
    _write(at + 9, high >> 16, 4)
    _write(at + 14, high, 4)
    _write(at + LOW_STARTS, low >> 48, 4)
    _write(at + HYPHEN + 1, low, 12)
    at[8] = at[13] = at[18] = at[HYPHEN] = 45
    return text


cpdef int64_t low_bits(str text) except? -1:
    """Return the last 62 bits of a UUID text in lower case; -1 if `text` cannot be one."""
    cdef const unsigned char* at
    cdef uint64_t low = 0
    cdef int n
    if PyUnicode_GET_LENGTH(text) != LENGTH or not PyUnicode_IS_COMPACT_ASCII(text):
        return -1
    at = PyUnicode_1BYTE_DATA(text)
    if at[HYPHEN] != 45:
        return -1
    for n in range(LOW_STARTS, LENGTH):
        if n != HYPHEN:
            if VALUES[at[n]] < 0:
                return -1
            low = low << 4 | <uint64_t>VALUES[at[n]]
    return <int64_t>(low & FREE)


cdef void _write(unsigned char* at, uint64_t number, int digits) noexcept:  # nothing to raise
    cdef int n
    for n in range(digits - 1, -1, -1):
        at[n] = DIGITS[number & 15]
        number >>= 4
