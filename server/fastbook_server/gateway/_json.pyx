# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, auto_pickle=False, autotestdict=False
"""JSON written into a buffer, byte for byte as msgspec writes it, and framed where it stands.

For what is said most: what is rare, such as a text that needs escapes, msgspec encodes.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.unicode cimport PyUnicode_GET_LENGTH
from libc.math cimport signbit
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

import msgspec

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const unsigned char* PyUnicode_1BYTE_DATA(object text)

cdef enum:
    HEADER = 10  # the most bytes before a payload: opcode, 127 and a length of eight
    DIGITS = 20  # of an integer, with its sign

cdef int TEXT = 0x81  # FIN and opcode 1

# From the first to the last, the shortest form of a double with up to 15 digits has no exponent.
cdef double PLAIN_MIN = 1e-5
cdef double PLAIN_MAX = 1e15

cdef double[16] POWERS  # of ten
POWERS[0] = 1.0
cdef int _n
for _n in range(1, 16):
    POWERS[_n] = POWERS[_n - 1] * 10.0

cdef uint64_t ONES = 0x0101010101010101
cdef uint64_t HIGHS = 0x8080808080808080

cdef object _encode = msgspec.json.Encoder().encode


@cython.final
@cython.freelist(8)
cdef class Writer:
    """The JSON of one payload; ``key`` is what stands before a value."""

    def __cinit__(self):
        self._bytes = self._small
        self._room = SMALL
        self._end = HEADER

    def __dealloc__(self):
        if self._bytes != self._small:
            PyMem_Free(self._bytes)

    cpdef int put(self, bytes text) except -1:
        """Write JSON as it is."""
        return self._copy(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))

    cpdef int text(self, bytes key, str value) except -1:
        """Write a text, in quotes."""
        cdef Py_ssize_t length
        cdef const char* text
        if value is not None and PyUnicode_IS_COMPACT_ASCII(value):
            length = PyUnicode_GET_LENGTH(value)
            text = <const char*>PyUnicode_1BYTE_DATA(value)
            if not _has_escapes(text, length):
                return self._quote(key, text, length)
        self.put(key)
        return self.put(_encode(value))

    cpdef int word(self, bytes key, str value) except -1:
        """Write a word of the wire, in quotes: ASCII without anything that needs an escape."""
        assert value is not None and PyUnicode_IS_COMPACT_ASCII(value), "a word of the wire"
        return self._quote(
            key, <const char*>PyUnicode_1BYTE_DATA(value), PyUnicode_GET_LENGTH(value)
        )

    cdef int _quote(self, bytes key, const char* text, Py_ssize_t length) except -1:
        """Write a text that needs no escapes."""
        cdef Py_ssize_t head = PyBytes_GET_SIZE(key)
        cdef char* at
        if self._end + head + length + 2 > self._room:
            self._reserve(head + length + 2)
        at = self._bytes + self._end
        memcpy(at, PyBytes_AS_STRING(key), head)
        at += head
        at[0] = c'"'
        memcpy(at + 1, text, length)
        at[length + 1] = c'"'
        self._end += head + length + 2
        return 0

    cpdef int integer(self, bytes key, int64_t value) except -1:
        """Write an integer."""
        self.put(key)
        return self._decimal(value, 0)

    cpdef int number(self, bytes key, double value) except -1:
        """Write the shortest decimal whose nearest double is `value`."""
        cdef double power
        cdef int64_t units
        cdef int decimals = 0
        self.put(key)
        if value == 0.0 and not signbit(value):
            return self._copy("0.0", 3)
        # A decimal of at most 15 digits is the only one of its length near its double. To see
        # whether `value` has one, both operands of the division are exact.
        if PLAIN_MIN <= value < PLAIN_MAX:
            while decimals < 16 and value * POWERS[decimals] < PLAIN_MAX:
                power = POWERS[decimals]
                units = <int64_t>(value * power + 0.5)
                if <double>units / power == value:
                    self._decimal(units, decimals)
                    return 0 if decimals else self._copy(".0", 2)
                decimals += 1
        return self.put(_encode(value))

    cpdef int decimal(self, bytes key, int64_t units, int decimals) except -1:
        """Write `units`, not negative, of 10 to the power of minus `decimals` as a text."""
        assert units >= 0 <= decimals < DIGITS, "it has room"
        self.put(key)
        self._copy('"', 1)
        self._decimal(units, decimals)
        return self._copy('"', 1)

    cpdef int any(self, bytes key, value) except -1:
        """Write a text, an integer of any size, or None as null."""
        if type(value) is str:
            return self.text(key, value)
        if type(value) is int and -(10**18) < value < 10**18:
            return self.integer(key, value)
        self.put(key)
        return self.put(_encode(value))

    cpdef bytes payload(self):
        """Return what has been written."""
        return PyBytes_FromStringAndSize(self._bytes + HEADER, self._end - HEADER)

    cpdef bytes frame(self):
        """Return the same as a whole text frame, as a server sends it."""
        cdef uint64_t length = <uint64_t>(self._end - HEADER)
        cdef int head = 2 if length < 126 else 4 if length < 65_536 else 10
        cdef unsigned char* out = <unsigned char*>self._bytes + HEADER - head
        cdef int at
        out[0] = TEXT
        out[1] = length if head == 2 else 126 if head == 4 else 127
        for at in range(head - 1, 1, -1):
            out[at] = length & 0xFF
            length >>= 8
        return PyBytes_FromStringAndSize(<char*>out, self._end - HEADER + head)

    cdef int _reserve(self, Py_ssize_t count) except -1:
        """Make room for so many more bytes."""
        cdef Py_ssize_t room
        cdef char* grown
        if self._end + count <= self._room:
            return 0
        room = 2 * (self._end + count)
        if self._bytes == self._small:
            grown = <char*>PyMem_Malloc(room)
            if grown is not NULL:
                memcpy(grown, self._small, self._end)
        else:
            grown = <char*>PyMem_Realloc(self._bytes, room)
        if grown is NULL:
            raise MemoryError
        self._bytes, self._room = grown, room
        return 0

    cdef int _copy(self, const char* text, Py_ssize_t count) except -1:
        if self._end + count > self._room:
            self._reserve(count)
        memcpy(self._bytes + self._end, text, count)
        self._end += count
        return 0

    cdef int _decimal(self, int64_t units, int decimals) except -1:
        """Write `units` with a point before so many digits; not both negative and with a point."""
        cdef char[DIGITS + 2] text
        cdef uint64_t left = <uint64_t>units if units >= 0 else 0 - <uint64_t>units
        cdef Py_ssize_t at = DIGITS + 2
        cdef int written = 0
        while left or written <= decimals:
            if decimals and written == decimals:
                at -= 1
                text[at] = c"."
            at -= 1
            text[at] = <char>(c"0" + left % 10)
            left //= 10
            written += 1
        if units < 0:
            at -= 1
            text[at] = c"-"
        return self._copy(&text[at], DIGITS + 2 - at)


cdef bint _has_escapes(const char* text, Py_ssize_t length) noexcept:  # nothing to raise
    """Whether one of these ASCII signs is escaped in JSON: eight of them are looked at at once."""
    cdef uint64_t eight, quotes, strokes
    cdef Py_ssize_t at = 0
    while at < length:
        eight = ONES * c"0"  # where there are fewer than eight
        memcpy(&eight, text + at, min(8, length - at))
        # The highest bit of a byte shows whether it is below a space, or zero once it is compared.
        quotes, strokes = eight ^ ONES * c'"', eight ^ ONES * c"\\"
        if ((eight - ONES * c" ") | (quotes - ONES) | (strokes - ONES)) & ~eight & HIGHS:
            return True
        at += 8
    return False
