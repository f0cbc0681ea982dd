# The writer of JSON, for other modules; `_json.pyx` says what each does.

cimport cython
from libc.stdint cimport int64_t


cdef enum:
    SMALL = 512  # bytes that a writer has without asking for memory: most reports fit


@cython.final
cdef class Writer:
    cdef char* _bytes
    cdef Py_ssize_t _end, _room
    cdef char[SMALL] _small

    cpdef int put(self, bytes text) except -1
    cpdef int text(self, bytes key, str value) except -1
    cpdef int word(self, bytes key, str value) except -1
    cpdef int integer(self, bytes key, int64_t value) except -1
    cpdef int number(self, bytes key, double value) except -1
    cpdef int decimal(self, bytes key, int64_t units, int decimals) except -1
    cpdef int any(self, bytes key, value) except -1
    cpdef bytes payload(self)
    cpdef bytes frame(self)

    cdef int _quote(self, bytes key, const char* text, Py_ssize_t length) except -1
    cdef int _reserve(self, Py_ssize_t count) except -1
    cdef int _copy(self, const char* text, Py_ssize_t count) except -1
    cdef int _decimal(self, int64_t units, int decimals) except -1
