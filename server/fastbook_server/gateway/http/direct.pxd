# `direct.py` in C types.

cimport cython
from libc.stdint cimport int64_t


@cython.final
cdef class PlainRequest:
    cdef readonly bytes call
    cdef readonly str query
    cdef readonly bytes body
    cdef readonly int64_t lacking
    cdef dict _headers

    @cython.locals(value=bytes)
    cpdef bint add(self, bytes more) except -1
    cpdef str header(self, bytes name)


@cython.locals(head=bytes, found=bytes, body=bytes, lines=list, first=list, target=bytes,
               headers=dict, lacking=int64_t, path=bytes, query=bytes)
cpdef PlainRequest plain(bytes data)
@cython.locals(call=bytes)
cpdef bint may_become(bytes data, calls) except -1
@cython.locals(headers=dict, line=bytes, name=bytes, colon=bytes, value=bytes)
cdef dict _headers(list lines)
@cython.locals(connection=bytes, length=bytes)
cdef int64_t _lacking(dict headers, int64_t size) except? -2
@cython.locals(told=bytes, date=bytes, length=bytes)
cpdef bytes response(int64_t status, bytes headers, bytes body)
cdef bytes _status_line(int64_t status)


@cython.final
cdef class _Dates:
    cdef int64_t _second
    cdef bytes _text

    @cython.locals(second=int64_t)
    cpdef bytes now(self)
