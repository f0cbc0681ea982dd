# `packing.py` in C types: every value of every row passes here.

cimport cython
from libc.stdint cimport int64_t

cdef int BOOL, INT4, INT8, FLOAT8, NUMERIC, TEXT, UUID, TEXT_ARRAY


@cython.final
cdef class Field:
    cdef readonly str name
    cdef readonly int kind
    cdef readonly int64_t oid


@cython.final
cdef class Part:
    cdef readonly str name
    cdef readonly int64_t array_oid, element_oid
    cdef readonly list columns
    cdef readonly bint is_rows


@cython.final
cdef class Packer:
    cdef bytearray _data
    cdef Py_ssize_t _size

    cpdef written(self)
    cpdef begin(self, int64_t fields)
    @cython.locals(start=Py_ssize_t)
    cpdef Py_ssize_t begin_array(self, Part part, Py_ssize_t count) except -1
    @cython.locals(column=Field)
    cpdef array(self, Part part, list rows)
    cpdef end_array(self, Py_ssize_t start)
    cpdef begin_copy(self)
    cpdef end_copy(self)
    @cython.locals(columns=list, column=Field, row=tuple, n=Py_ssize_t)
    cpdef copy(self, Part part, list rows)
    @cython.locals(columns=list, column=Field, start=Py_ssize_t, n=Py_ssize_t)
    cdef _row(self, Part part, tuple row)
    @cython.locals(end=Py_ssize_t)
    cdef _set_length(self, Py_ssize_t start)
    cdef _value(self, int kind, value)
    @cython.locals(encoded=bytes)
    cdef _text(self, str value)
    @cython.locals(data=cython.p_uchar, at=Py_ssize_t, byte=cython.uchar)
    cdef _bytes(self, bytes value)
    @cython.locals(data=cython.p_uchar, at=Py_ssize_t, high=int, digit=int, code=int,
                   character=cython.Py_UCS4)
    cdef _uuid(self, str value)
    @cython.locals(digits=list, count=Py_ssize_t)
    cdef _numeric(self, value)
    @cython.locals(start=Py_ssize_t)
    cdef _texts(self, list values)
    @cython.locals(data=cython.p_uchar, at=Py_ssize_t)
    cdef _put(self, int64_t value, int size)
    cdef _need(self, Py_ssize_t size)
